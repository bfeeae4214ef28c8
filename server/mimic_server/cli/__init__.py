"""The `mimic` command. Its commands for RPCs are made from the descriptors; the others stand here by name."""

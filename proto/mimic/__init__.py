"""The contracts of Mimic and the code generated from them."""

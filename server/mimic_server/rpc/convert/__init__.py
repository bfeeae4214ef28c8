"""Between the messages of mimic.v1 and the types of the domain."""

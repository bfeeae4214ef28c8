"""Small real implementations of the domain's ports, for tests of what stands on them."""

"""Examples to run Mimic against."""

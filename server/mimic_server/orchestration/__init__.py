"""Who sees to it that what takes long is done."""

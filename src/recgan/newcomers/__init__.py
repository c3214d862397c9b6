"""Products without a place in a package's vocabulary, in one list with those that have one."""

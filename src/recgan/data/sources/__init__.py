"""One file a source: each turns what it finds into events, items and users, faults included."""

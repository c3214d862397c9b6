"""Remove a person from every store of a project, and prove it."""

"""An example for somebody's own export: its mapping, what is left out, whether it will do."""

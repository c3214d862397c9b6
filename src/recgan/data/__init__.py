"""Raw events: where they come from and what is expected of them."""

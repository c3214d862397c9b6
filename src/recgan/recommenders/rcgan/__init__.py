"""RC-GAN: a generator in the user view against a residual critic in the item view."""

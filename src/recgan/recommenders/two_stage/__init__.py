"""Two stages: a generator proposes items, and a discriminator judges its very proposals."""

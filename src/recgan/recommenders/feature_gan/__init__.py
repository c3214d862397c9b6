"""The retail GAN: a generator of product vectors, whose nearest products are recommended."""

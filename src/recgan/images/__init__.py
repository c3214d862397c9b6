"""Image GANs on the adversarial core: networks, training, measures, pictures of a shopper's taste."""

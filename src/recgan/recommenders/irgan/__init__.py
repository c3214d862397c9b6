"""IRGAN (Wang et al., SIGIR 2017): a generator that picks items against a discriminator that judges pairs."""

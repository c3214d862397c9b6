"""Laws that every GAN of the project obeys, for the tests of each."""

from collections.abc import Callable

from torch import Tensor, nn


def assert_it_teaches_the_generator_alone(
    generator: nn.Module, discriminator: nn.Module, adversarial: Callable[[], Tensor]
) -> None:
    """Assert that an adversarial loss reaches every generator weight and no discriminator weight.

    What a generator that is judged outside its own tape fails, although it trains without an error.

    Args:
        generator: the player that writes.
        discriminator: the player that judges; frozen meanwhile, as in its opponent's turn.
        adversarial: computes the generator's adversarial loss and nothing else.
    """
    for network in (generator, discriminator):
        network.zero_grad(set_to_none=True)
    discriminator.requires_grad_(False)
    try:
        adversarial().backward()
    finally:
        discriminator.requires_grad_(True)
    for name, weight in generator.named_parameters():
        assert weight.grad is not None, f"the generator's {name} is outside the tape"
        assert weight.grad.abs().sum() > 0, f"the generator's {name} gets no gradient"
    for name, weight in discriminator.named_parameters():
        assert weight.grad is None, f"the discriminator's {name} gets a gradient in its opponent's turn"

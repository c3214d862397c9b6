"""Laws that every GAN of the project obeys, for the tests of each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recgan.adversarial.module import Game


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


def assert_a_turn_leaves_the_opponent_untouched(game: Game) -> None:
    """Assert that each side's turn moves all of its own weights and none of the opponent's."""
    d_optimizer, g_optimizer = game.optimizers()
    for turn, player, opponent, optimizer in (
        (game.discriminator_turn, game.discriminator, game.generator, d_optimizer),
        (game.generator_turn, game.generator, game.discriminator, g_optimizer),
    ):
        before = [weight.clone() for weight in opponent.parameters()]
        own = [weight.clone() for weight in player.parameters()]
        for network in (player, opponent):
            network.zero_grad()
        opponent.requires_grad_(False)
        losses = 0
        for losses, loss in enumerate(turn(), 1):  # noqa: B007
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        opponent.requires_grad_(True)
        if player is game.generator:
            assert losses == game.generator_steps()
        assert all(weight.grad is None for weight in opponent.parameters())
        assert all(torch.equal(a, b) for a, b in zip(before, opponent.parameters(), strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(own, player.parameters(), strict=True))

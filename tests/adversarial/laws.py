"""Laws that every GAN of the project obeys, for the tests of each."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from recgan.adversarial.game import Game, Player

TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "precision": "auto",
    "max_time": None,
}
"""Lightning's Trainer on one CPU."""


def turn(game: Game, player: Player, rests: bool = True) -> Iterator[Tensor]:
    """Yield the losses of one turn.

    Args:
        game: in an epoch.
        player: whose turn it is.
        rests: whether the opponent rests for the whole turn.
    """
    if rests:
        game.begin_turn(player)
    for batch in game.batches(player):
        yield game.loss(player, batch)


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
    sides: tuple[tuple[Player, nn.Module, nn.Module, torch.optim.Optimizer], ...] = (
        ("discriminator", game.discriminator, game.generator, d_optimizer),
        ("generator", game.generator, game.discriminator, g_optimizer),
    )
    for name, player, opponent, optimizer in sides:
        before = [weight.clone() for weight in opponent.parameters()]
        own = [weight.clone() for weight in player.parameters()]
        for network in (player, opponent):
            network.zero_grad()
        opponent.requires_grad_(False)
        losses = 0
        for losses, loss in enumerate(turn(game, name), 1):  # noqa: B007
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        opponent.requires_grad_(True)
        assert losses == game.steps(name)
        assert all(weight.grad is None for weight in opponent.parameters())
        assert all(torch.equal(a, b) for a, b in zip(before, opponent.parameters(), strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(own, player.parameters(), strict=True))

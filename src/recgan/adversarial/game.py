"""What two players say of themselves to be trained against each other, and the order of their batches.

A game without a discriminator is a training by one loss; all else around it is the same.
"""

from collections.abc import Iterator
from itertools import chain, count
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recgan.adversarial.share import Share

Player = Literal["discriminator", "generator"]


class Game(Protocol):
    """What two players must say about themselves to be trained against each other."""

    rng: torch.Generator
    """Everything random in the game comes from it; its state is part of a checkpoint."""
    share: Share
    """Set before the first epoch."""
    shares_rows: bool
    """Whether several processes each compute a part of every batch; else the first one trains for all."""

    @property
    def generator(self) -> nn.Module:
        """The player that writes."""
        ...

    @property
    def discriminator(self) -> nn.Module | None:
        """The player that judges; None where nobody does."""
        ...

    def optimizers(self) -> tuple[Optimizer, ...]:
        """Return the discriminator's optimizer, if there is a discriminator, and the generator's."""
        ...

    def begin_epoch(self, epoch: int) -> None:
        """Draw what stays the same for one epoch, and forget what the one before measured.

        Args:
            epoch: counted from 0.
        """
        ...

    def begin_turn(self, player: Player) -> None:
        """Compute what stays the same while the opponent rests; not called where the players interleave."""
        ...

    def steps(self, player: Player) -> int:
        """Return how many batches a player's turn has."""
        ...

    def batches(self, player: Player) -> Iterator[Any]:
        """Yield the batches of one turn; each is drawn when it is asked for."""
        ...

    def loss(self, player: Player, batch: Any) -> Tensor:
        """Return a player's loss on a batch."""
        ...

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean of what the losses measured, as scalars on the device."""
        ...


def players(game: Game) -> tuple[Player, ...]:
    """Return who plays, in the order of their turns."""
    return ("generator",) if game.discriminator is None else ("discriminator", "generator")


class Turn(NamedTuple):
    """One step of one player."""

    player: Player
    batch: Any
    last: bool
    """True for the player's last step of the epoch."""


class Turns:
    """The steps of one epoch, in the order in which the game is played.

    Each batch is drawn after the step before it was made: draws of the batches and of the losses come from
    one stream.
    """

    def __init__(self, game: Game, critic_steps: int | None) -> None:
        """Take the game.

        Args:
            game: draws the batches.
            critic_steps: discriminator steps before each generator step, its turn begun anew as often as
                needed; None plays the whole of one turn, then the whole of the other. Without a
                discriminator it must be None.
        """
        self.game = game
        self.critic_steps = critic_steps

    def __len__(self) -> int:
        """Return the number of steps: Lightning fetches no batch ahead where it knows the number."""
        g_steps = self.game.steps("generator")
        if self.critic_steps is None:
            return sum(self.game.steps(player) for player in players(self.game))
        return (self.critic_steps + 1) * g_steps

    def __iter__(self) -> Iterator[Turn]:
        """Yield the steps."""
        game, g_steps = self.game, self.game.steps("generator")
        if self.critic_steps is None:
            for player in players(game):
                steps = game.steps(player)
                for number, batch in enumerate(game.batches(player), 1):
                    yield Turn(player, batch, number == steps)
            return
        endless = chain.from_iterable(game.batches("discriminator") for _ in count())
        batches = game.batches("generator")
        for number in range(1, g_steps + 1):
            for step in range(1, self.critic_steps + 1):
                last = number == g_steps and step == self.critic_steps
                yield Turn("discriminator", next(endless), last)
            yield Turn("generator", next(batches), number == g_steps)

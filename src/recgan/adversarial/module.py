"""The adversarial training as a LightningModule: each training step is one step of one player."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from recgan.adversarial.constraints import clip_weights
from recgan.adversarial.game import Game, Player, Turn, Turns, players
from recgan.adversarial.processes import by_first
from recgan.adversarial.schedule import Rules
from recgan.adversarial.share import Share
from recgan.core.errors import RecganError

Look = Callable[[], Mapping[str, float]]
"""Measures of the present generator."""


class AdversarialModule(lightning.LightningModule):
    """Two players, two optimizers, and what they say of an epoch; one of each without a discriminator.

    The game is no submodule: its rows belong neither into a checkpoint nor into an average of weights, nor
    are they sent to other processes.
    """

    def __init__(self, game: Game, rules: Rules, look: Look | None = None) -> None:
        """Take the game.

        Args:
            game: what is played.
            rules: how the players take turns.
            look: measures the present generator.
        """
        super().__init__()
        self.automatic_optimization = False  # two optimizers: Lightning clips and schedules nothing here
        self.generator, self.discriminator = game.generator, game.discriminator
        self.game = game
        self.rules = rules
        self.look = look
        self.row: dict[str, float] = {}
        """The last whole epoch's losses, gradients and measures of the game."""
        self.found: Mapping[str, float] = {}
        """What the last look found; empty where nobody looked in this epoch."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; quickly what Lightning sets some twenty times in a step, the hook it is in."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def configure_optimizers(self) -> list[Optimizer]:
        """Return the game's optimizers."""
        return list(self.game.optimizers())

    def transfer_batch_to_device(self, batch: Turn, device: torch.device, dataloader_idx: int) -> Turn:
        """Return the batch as it is: it was drawn on the device."""
        return batch

    def on_fit_start(self) -> None:
        """Tell the game its share of the rows."""
        self.game.share = Share(self.global_rank, self.trainer.world_size)

    def on_train_start(self) -> None:
        """Take the optimizers once, instead of asking for them in every step."""
        found = self.optimizers()
        optimizers = cast("list[LightningOptimizer]", found if isinstance(found, list) else [found])
        rules, d = self.rules, self.discriminator
        self._sides: dict[Player, _Side] = {}
        if d is not None:
            clip = None if rules.clip_weights is None else partial(clip_weights, d, rules.clip_weights)
            self._sides["discriminator"] = _Side(d, optimizers[0], rules.clip_discriminator, clip)
        self._sides["generator"] = _Side(self.generator, optimizers[-1], rules.clip_generator, None)

    def on_train_epoch_start(self) -> None:
        """Begin the epoch and its first turn."""
        self.row, self.found = {}, {}
        self._playing: Player | None = None
        for side in self._sides.values():
            side.begin()
        self.game.begin_epoch(self.current_epoch)
        if self.rules.critic_steps is None:
            with self.trainer.precision_plugin.forward_context():
                self._give_turn(players(self.game)[0])

    def training_step(self, batch: Turn, batch_idx: int) -> None:
        """Make one step of the player whose batch it is."""
        player = batch.player
        if player != self._playing:
            self._give_turn(player)
        side = self._sides[player]
        loss = self.game.loss(player, batch.batch)
        for parameter in side.parameters:
            parameter.grad = None
        self.manual_backward(loss)
        if side.clip is not None:
            side.norm = clip_grad_norm_(side.parameters, side.clip)
        side.optimizer.step()
        if side.after is not None:
            side.after()
        side.total += loss.detach()
        side.steps += 1
        if batch.last:
            side.end()
            if all(one.ended for one in self._sides.values()):
                self._close_epoch()

    # Lightning asks for it in every step, and takes longer over it than over any hook.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def validation_step(self, batch: str, batch_idx: int) -> None:
        """Look at the generator, in full precision: one process does, and tells the others."""
        look = self.look
        assert look is not None
        with torch.autocast(self.device.type, enabled=False):
            self.found = by_first(lambda: dict(look()))
        self._log(self.found)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the random state into the checkpoint."""
        checkpoint["rng"] = self.game.rng.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the random state back."""
        self.game.rng.set_state(checkpoint["rng"].cpu())

    def _give_turn(self, player: Player) -> None:
        """Let one player learn and the other rest."""
        if self._playing is not None:
            self.untoggle_optimizer(self._sides[self._playing].optimizer)
        self.toggle_optimizer(self._sides[player].optimizer)
        self._playing = player
        if self.rules.critic_steps is None:
            self.game.begin_turn(player)

    def _log(self, measures: Mapping[str, float]) -> None:
        """Tell the loggers and the callbacks, by the epoch and not by Lightning's count of steps."""
        step = float(self.current_epoch + 1)
        self.log_dict({**measures, "step": step}, on_step=False, on_epoch=True, batch_size=1)

    def _close_epoch(self) -> None:
        """Measure the epoch, the only time in it that the host waits for the device.

        Raises:
            RecganError: a loss or a gradient is not finite.
        """
        assert self._playing is not None
        self.untoggle_optimizer(self._sides[self._playing].optimizer)
        sides = {player[0]: side for player, side in self._sides.items()}  # d, g
        measured = {
            **{f"{name}_loss": side.total / side.steps for name, side in sides.items()},
            **self.game.measured(),
            **{f"{name}_grad_norm": sides[name].norm for name in ("g", "d") if name in sides},
        }
        row = torch.stack([value.float() for value in measured.values()])
        values = self.trainer.strategy.reduce(row, reduce_op="mean").tolist()
        self.row = dict(zip(measured, values, strict=True))
        if not all(map(math.isfinite, values)):
            shown = ", ".join(f"{name} {value:.3g}" for name, value in self.row.items())
            raise RecganError(
                f"training lost its footing in epoch {self.current_epoch + 1}: {shown}; "
                "lower the learning rates of all players"
            )
        if self.trainer.loggers:  # each measure costs more than a short step
            self._log(self.row)


class _Side:
    """One player: what it needs for a step, and the sums of its steps of the epoch."""

    def __init__(
        self,
        player: nn.Module,
        optimizer: LightningOptimizer,
        clip: float | None,
        after: Callable[[], None] | None,
    ) -> None:
        self.optimizer = optimizer
        self.clip = clip
        self.after = after
        self.parameters = list(player.parameters())

    def begin(self) -> None:
        """Begin an epoch."""
        self.total = torch.zeros((), device=self.parameters[0].device)
        self.steps = 0
        self.norm = self.total
        """Of the gradient at the last step, before it was clipped."""
        self.ended = False

    def end(self) -> None:
        """End the epoch: measure the gradient and let go of it."""
        if self.clip is None:
            grads = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            self.norm = get_total_norm(grads)
        self.optimizer.zero_grad()
        self.ended = True


class Batches(lightning.LightningDataModule):
    """The steps of the game as Lightning's training data; a look at the generator is its validation."""

    def __init__(self, game: Game, critic_steps: int | None) -> None:
        super().__init__()
        self.turns = Turns(game, critic_steps)

    def train_dataloader(self) -> Turns:
        """Return the steps of one epoch."""
        return self.turns

    def val_dataloader(self) -> list[str]:
        """Return one item: a look is one look, at all that is held out."""
        return ["held out"]

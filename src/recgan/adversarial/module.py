"""The adversarial training loop: two players, two optimizers, one Lightning module."""

import copy
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recgan.adversarial.constraints import clip_weights
from recgan.adversarial.diagnostics import Lines, Row, alarms
from recgan.adversarial.schedule import Rules
from recgan.core.errors import RecganError

log = logging.getLogger(__name__)


class Game(Protocol):
    """What two players must say about themselves to be trained against each other."""

    rng: torch.Generator
    """Everything random in the game comes from it; its state is part of a checkpoint."""

    @property
    def generator(self) -> nn.Module:
        """The player that writes."""
        ...

    @property
    def discriminator(self) -> nn.Module:
        """The player that judges."""
        ...

    def optimizers(self) -> tuple[Optimizer, Optimizer]:
        """Return the discriminator's and the generator's optimizer."""
        ...

    def begin_epoch(self) -> None:
        """Draw what stays the same for one epoch."""
        ...

    def discriminator_turn(self) -> Iterator[Tensor]:
        """Yield the loss of each discriminator step; the step is made before the next one is asked for."""
        ...

    def generator_turn(self) -> Iterator[Tensor]:
        """Yield the loss of each generator step."""
        ...

    def generator_steps(self) -> int:
        """Return how many losses the generator's turn yields."""
        ...

    def measured(self) -> dict[str, Tensor]:
        """Return what the game measured in this epoch, as scalars on the device."""
        ...


@dataclass
class Progress:
    """How far a training is: all of it is in every checkpoint."""

    curves: list[Row] = field(default_factory=list)
    """Rows of epoch, d_loss, g_loss, g_grad_norm, d_grad_norm, the game's own, score, and the probe's own."""
    best_epoch: int = 0
    """The epoch of the best score; without validation the last one."""
    best_score: float | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False
    alarms: dict[str, int] = field(default_factory=dict)
    """What crossed its line → the first epoch that it did."""


class _Side:
    """One player in its turn: its steps so far."""

    def __init__(
        self,
        turn: Callable[[], Iterator[Tensor]],
        player: nn.Module,
        opponent: nn.Module,
        optimizer: Optimizer,
        clip: float | None,
        after: Callable[[], None] | None,
    ) -> None:
        self.turn = turn
        self.opponent = opponent
        self.optimizer = optimizer
        self.clip = clip
        self.after = after
        self.parameters = list(player.parameters())
        self.total = torch.zeros((), device=self.parameters[0].device)
        self.steps = 0
        self.clipped_norm: Tensor | None = None

    def play_through(self) -> None:
        """Make all steps of the turn."""
        self.opponent.requires_grad_(False)
        for loss in self.turn():
            self._step(loss)
        self.opponent.requires_grad_(True)

    def play_one(self, losses: Iterator[Tensor]) -> None:
        """Make one step."""
        self.opponent.requires_grad_(False)
        self._step(next(losses))
        self.opponent.requires_grad_(True)

    def endless(self) -> Iterator[Tensor]:
        """Yield the turn's losses, and begin the turn anew where it ends."""
        while True:
            yield from self.turn()

    def result(self) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the gradient's norm at the last step, before it was clipped."""
        norm = self.clipped_norm
        if norm is None:
            norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        self.optimizer.zero_grad(set_to_none=True)
        return self.total / self.steps, norm

    def _step(self, loss: Tensor) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self.clip is not None:
            self.clipped_norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        # Where Lightning lets autocast keep the weights' bfloat16 copies, the whole epoch is one region: the
        # next loss would be that of the weights before this step.
        torch.clear_autocast_cache()
        if self.after is not None:
            self.after()
        self.total += loss.detach()
        self.steps += 1


class AdversarialModule(lightning.LightningModule):
    """Play one epoch per training step: the discriminator's turn, then the generator's, or interleaved."""

    def __init__(self, game: Game, rules: Rules) -> None:
        super().__init__()
        self.automatic_optimization = False  # two optimizers: Lightning clips and schedules nothing here
        self.game = game
        self.rules = rules
        self.row: Row = {}
        self.average: nn.Module | None = None
        if rules.ema is not None:
            self.average = copy.deepcopy(game.generator).requires_grad_(False)

    def configure_optimizers(self) -> list[Optimizer]:
        """Return the game's two optimizers."""
        return list(self.game.optimizers())

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Play one epoch and keep its row of the curves.

        Raises:
            RecganError: a loss or a gradient is not finite.
        """
        game = self.game
        # The bare optimizers, and in the turns the bare backward: on one device without a gradient scaler
        # Lightning's wrappers only count, for a tenth of the time of 65,000 short steps.
        d_optimizer, g_optimizer = cast("list[Optimizer]", self.optimizers(use_pl_optimizer=False))
        g, d, rules = game.generator, game.discriminator, self.rules
        clip = None if rules.clip_weights is None else partial(clip_weights, d, rules.clip_weights)
        average = None if rules.ema is None else self._move_average
        d_side = _Side(game.discriminator_turn, d, g, d_optimizer, rules.clip_discriminator, clip)
        g_side = _Side(game.generator_turn, g, d, g_optimizer, rules.clip_generator, average)
        game.begin_epoch()
        if rules.critic_steps is None:
            d_side.play_through()
            g_side.play_through()
        else:
            d_losses, g_losses = d_side.endless(), game.generator_turn()
            # Counted, as asking the turn whether there is one more loss would compute it before the critic
            # has stepped.
            for _ in range(game.generator_steps()):
                for _ in range(rules.critic_steps):
                    d_side.play_one(d_losses)
                g_side.play_one(g_losses)
        (d_loss, d_norm), (g_loss, g_norm) = d_side.result(), g_side.result()
        measured = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            **game.measured(),
            "g_grad_norm": g_norm,
            "d_grad_norm": d_norm,
        }
        # The only time in an epoch that the host waits for the device.
        values = torch.stack([value.float() for value in measured.values()]).tolist()
        self.row = {"epoch": self.current_epoch + 1, **dict(zip(measured, values, strict=True))}
        if not all(map(math.isfinite, values)):
            shown = ", ".join(f"{name} {value:.3g}" for name, value in zip(measured, values, strict=True))
            raise RecganError(
                f"training lost its footing in epoch {self.current_epoch + 1}: {shown}; "
                "lower the learning rates of both players"
            )

    def swap_average(self) -> None:
        """Exchange the generator's weights and running statistics with their average, where one is kept."""
        if self.average is not None:
            for own, mean in zip(_weights(self.game.generator), _weights(self.average), strict=True):
                own.data, mean.data = mean.data, own.data

    def _move_average(self) -> None:
        assert self.average is not None
        assert self.rules.ema is not None
        weights = [weight.detach() for weight in _weights(self.game.generator)]
        torch._foreach_lerp_(_weights(self.average), weights, 1 - self.rules.ema)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the random state into the checkpoint."""
        checkpoint["rng"] = self.game.rng.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the random state back."""
        self.game.rng.set_state(checkpoint["rng"].cpu())


def _weights(network: nn.Module) -> list[Tensor]:
    """Return all that an average is taken of: the weights, and what batch normalisation goes by."""
    running = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    return [*network.parameters(), *running]


class _Watch(Callback):
    """Look at validation, remember the best weights, save, report and stop."""

    def __init__(
        self,
        progress: Progress,
        epochs: int,
        validate: Callable[[], float] | None,
        evaluate_every: int,
        patience: int | None,
        checkpoint: Path | None,
        label: str,
        lines: Lines,
        probe: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self.progress = progress
        self.epochs = epochs
        self.validate = validate
        self.evaluate_every = evaluate_every
        self.patience = patience
        self.checkpoint = checkpoint
        self.label = label
        self.lines = lines
        self.probe = probe
        self.bar: Any = None

    def state_dict(self) -> dict[str, Any]:
        return vars(self.progress).copy()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        vars(self.progress).update(state_dict)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.progress.finished:
            trainer.should_stop = True
        if self.progress.curves:
            log.info("%s: resuming after epoch %d", self.label, len(self.progress.curves))
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=self.epochs,
                initial=len(self.progress.curves),
                desc=self.label,
                unit="epoch",
                leave=False,
            )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, AdversarialModule)
        progress, row = self.progress, pl_module.row
        progress.curves.append(row)
        epoch = len(progress.curves)
        last = epoch == self.epochs
        row["score"] = None
        if self.validate is None:
            progress.best_epoch = epoch
        look = last or epoch % self.evaluate_every == 0
        pl_module.swap_average()
        if self.probe is not None and look:
            row.update(self.probe())
        if self.validate is not None and look:
            row["score"] = score = self.validate()
            if progress.best_score is None or score > progress.best_score:
                progress.best_epoch, progress.best_score = epoch, score
                progress.best_weights = {
                    name: weight.detach().cpu().clone() for name, weight in pl_module.state_dict().items()
                }
            looks = (epoch - progress.best_epoch) // self.evaluate_every
            if self.patience is not None and looks >= self.patience:
                last = True
        pl_module.swap_average()
        self._sound_alarms(epoch)
        if last:
            progress.finished = True
            trainer.should_stop = True
        self._report(epoch, row, last)
        if self.checkpoint is not None and (last or epoch % self.evaluate_every == 0):
            _save(trainer, self.checkpoint)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _sound_alarms(self, epoch: int) -> None:
        for measure, message in alarms(self.progress.curves, self.lines).items():
            if measure not in self.progress.alarms:
                self.progress.alarms[measure] = epoch
                log.warning("%s, epoch %d: %s", self.label, epoch, message)

    def _report(self, epoch: int, row: Row, last: bool) -> None:
        shown = f"d_loss {row['d_loss']:.3f}, g_loss {row['g_loss']:.3f}"
        progress = self.progress
        if progress.best_score is not None:
            best = f"best {progress.best_score:.4f} in epoch {progress.best_epoch}"
            score = row["score"]
            shown += f", validation {score:.4f} ({best})" if score is not None else f", {best}"
        if self.bar is not None:
            self.bar.set_postfix_str(shown, refresh=False)
            self.bar.update()
        if self.bar is None and (last or epoch % self.evaluate_every == 0):
            log.info("%s, epoch %d of %d: %s", self.label, epoch, self.epochs, shown)


def play(
    game: Game,
    *,
    epochs: int,
    device: torch.device,
    validate: Callable[[], float] | None = None,
    evaluate_every: int = 10,
    patience: int | None = None,
    checkpoint: Path | None = None,
    label: str = "training",
    rules: Rules | None = None,
    lines: Lines | None = None,
    probe: Callable[[], Mapping[str, float]] | None = None,
) -> Progress:
    """Train two players against each other; leave the best weights in the game.

    Where the rules keep an average of the generator's weights, the average is what `validate` and `probe`
    look at, and what is left in the game.

    Args:
        game: an nn.Module that is a Game.
        epochs: the most epochs to play.
        device: cpu (32-bit) or cuda (bf16-mixed).
        validate: a score of the present generator, higher is better; None keeps the last weights.
        evaluate_every: epochs between two looks at `validate`, and between two checkpoints.
        patience: looks without a better score before the training stops; None never stops early.
        checkpoint: where to save all state; a training that finds this file goes on from there, to the same
            result as if it had never stopped. None saves nothing.
        label: what the progress is called.
        rules: how the players take turns; None is all of one turn, then all of the other.
        lines: where a measure is called ill, which a warning in the log says once for each measure; None
            draws none.
        probe: measures of what the present generator generates, taken just before `validate`.

    Raises:
        RecganError: a loss or a gradient is not finite.
    """
    progress = Progress()
    watch = _Watch(
        progress, epochs, validate, evaluate_every, patience, checkpoint, label, lines or Lines(), probe
    )
    module = AdversarialModule(game, rules or Rules())
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if device.type == "cuda" else "32-true",
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
        )
        resume = checkpoint if checkpoint is not None and checkpoint.exists() else None
        # One item, one epoch; with a generator of its own the loader leaves the caller's random state alone.
        loader = DataLoader(cast("Dataset[int]", range(1)), generator=torch.Generator())
        try:
            trainer.fit(module, loader, ckpt_path=resume, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    if progress.best_weights:
        module.load_state_dict(progress.best_weights)
    else:
        module.swap_average()
    return progress


def _save(trainer: lightning.Trainer, path: Path) -> None:
    """Save a checkpoint in one step: a killed training finds the old or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    trainer.save_checkpoint(new)
    new.replace(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says about itself: tips, hardware lists, data loader advice."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

"""Train two players against each other, or one alone, with Lightning's Trainer."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from recgan.adversarial.callbacks import BestCheckpoint, Diagnostics, GeneratorAverage, OneStep
from recgan.adversarial.diagnostics import Lines, Row
from recgan.adversarial.follow import follower
from recgan.adversarial.game import Game
from recgan.adversarial.module import AdversarialModule, Batches, Look
from recgan.adversarial.processes import by_first, count, join, of_all
from recgan.adversarial.schedule import Rules
from recgan.adversarial.settings import ONE_DEVICE, TrainerParams
from recgan.core.errors import RecganError
from recgan.core.quiet import at_level
from recgan.core.temporary import temporary_folder


@dataclass(frozen=True)
class Progress:
    """The result of a training."""

    curves: list[Row]
    """Rows of epoch, d_loss, g_loss, the game's own, g_grad_norm, d_grad_norm, and what the look found. What
    is a discriminator's is missing where there is none."""
    best_epoch: int
    """The epoch of the best look; where none is chosen the last one."""
    best_score: float | None
    alarms: dict[str, int]
    """What crossed its line → the first epoch that it did."""


def play(
    game: Game,
    *,
    epochs: int,
    trainer: Mapping[str, Any],
    look: Look | None = None,
    monitor: str | None = None,
    mode: Literal["min", "max"] = "max",
    evaluate_every: int = 10,
    patience: int | None = None,
    checkpoint: Path | None = None,
    label: str = "training",
    rules: Rules | None = None,
    lines: Lines | None = None,
) -> Progress:
    """Train two players against each other; leave the best weights in the game.

    A training whose environment names an MLflow run tells it of every epoch and look (follow.py).

    Where the rules keep an average of the generator's weights, the average is what is looked at, and what is
    left in the game.

    Several processes share the rows of every batch, or the first one trains for all: the game says which.
    They must have been started before, and all play the same games.

    Args:
        game: what is played.
        epochs: the most epochs to play.
        trainer: accelerator, devices, num_nodes, strategy, precision and max_time of Lightning's Trainer;
            precision auto is bf16-mixed on a GPU and 32-true elsewhere.
        look: measures of the present generator.
        monitor: the one of them that chooses the weights to keep; None keeps the last.
        mode: which of its values is better.
        evaluate_every: epochs between two looks, and between two checkpoints.
        patience: looks without a better one before the training stops; None never stops early.
        checkpoint: where to save all state; a training that finds this file goes on from there, to the same
            result as if it had never stopped. None saves nothing.
        label: what the progress is called.
        rules: how the players take turns; None is all of one turn, then all of the other.
        lines: the limits beyond which a measure is unhealthy, which a warning in the log says once for each
            measure; None sets none.

    Raises:
        RecganError: a loss or a gradient is not finite, there was no time for one epoch, or several processes
            are to train and this one is alone.
    """
    asked = TrainerParams.model_validate(trainer)
    several = count(asked) > 1
    if several:
        join(asked)
    if several and not game.shares_rows:
        return _by_one(
            game,
            lambda: play(
                game,
                epochs=epochs,
                trainer={**trainer, **ONE_DEVICE},
                look=look,
                monitor=monitor,
                mode=mode,
                evaluate_every=evaluate_every,
                patience=patience,
                checkpoint=checkpoint,
                label=label,
                rules=rules,
                lines=lines,
            ),
        )
    rules = rules or Rules()
    with temporary_folder() as scratch, _quiet():
        folder = scratch if checkpoint is None else checkpoint.parent
        stem = "play" if checkpoint is None else checkpoint.stem
        diagnostics = Diagnostics(label, epochs, evaluate_every, lines or Lines(), monitor, mode)
        callbacks: list[Callback] = [diagnostics]
        best = None
        if rules.ema is not None:
            callbacks.append(GeneratorAverage(rules.ema))
        if monitor is not None:
            best = _checkpoint(BestCheckpoint, folder, f"{stem}-best", 1, monitor=monitor, mode=mode)
            callbacks.append(best)
            if patience is not None:
                callbacks.append(EarlyStopping(monitor, mode=mode, patience=patience, check_finite=False))
        if checkpoint is not None:
            callbacks.append(
                _checkpoint(ModelCheckpoint, folder, stem, evaluate_every, save_on_train_epoch_end=True)
            )
        module = AdversarialModule(game, rules, look)
        playing = lightning.Trainer(
            **_trainer(asked, game, callbacks),
            max_epochs=epochs,
            check_val_every_n_epoch=evaluate_every,
            limit_val_batches=0 if look is None else 1.0,
            num_sanity_val_steps=0,
            logger=follower(label) or False,
            enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
            enable_model_summary=False,
            callbacks=callbacks,
            plugins=[OneStep()],
        )
        resume = checkpoint if checkpoint is not None and checkpoint.exists() else None
        if several and len({*of_all(resume is None)}) > 1:
            raise RecganError(
                f"not every process sees {checkpoint}; let all machines work in one shared folder"
            )
        try:
            playing.fit(
                module, datamodule=Batches(game, rules.critic_steps), ckpt_path=resume, weights_only=True
            )
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        module.to(game.rng.device)  # Lightning has taken the players from there, but not the rows
        if not diagnostics.curves:
            raise RecganError(
                f"trainer.max_time {trainer['max_time']} was over before the first epoch; raise it"
            )
        diagnostics.finished = True
        if checkpoint is not None:
            playing.save_checkpoint(checkpoint)
        epoch = len(diagnostics.curves)
        if best is not None and best.best_model_path:
            path = best.best_model_path  # which may lie in the first process's temporary folder
            weights, epoch = by_first(lambda: _kept(path))
            module.load_state_dict(weights)
    score = diagnostics.curves[epoch - 1].get(monitor) if monitor is not None else None
    return Progress(diagnostics.curves, epoch, score, diagnostics.alarms)


def _by_one(game: Game, train: Callable[[], Progress]) -> Progress:
    """Train in the first process; the others wait for the weights."""
    sides = [side for side in (game.discriminator, game.generator) if side is not None]

    def trained() -> tuple[Progress, list[dict[str, Tensor]]]:
        progress = train()
        return progress, [{name: part.cpu() for name, part in side.state_dict().items()} for side in sides]

    progress, weights = by_first(trained)
    for side, state in zip(sides, weights, strict=True):
        side.to(game.rng.device).load_state_dict(state)
    return progress


def _kept(path: str) -> tuple[dict[str, Tensor], int]:
    """Return the weights of a checkpoint and the number of its epoch, from 1."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    return kept["state_dict"], kept["epoch"] + 1


def _checkpoint(
    kind: type[ModelCheckpoint], folder: Path, stem: str, every: int, **options: Any
) -> ModelCheckpoint:
    """Return a checkpoint that keeps one file of a fixed name."""
    return kind(folder, stem, every_n_epochs=every, enable_version_counter=False, **options)


def _trainer(asked: TrainerParams, game: Game, callbacks: list[Callback]) -> dict[str, Any]:
    """Return what Lightning's Trainer is given for the settings; append the callbacks that they ask for."""
    if asked.max_time is not None:
        callbacks.append(Timer(asked.max_time, interval="epoch"))  # Trainer's own would end amid an epoch
    bar = sys.stdout.isatty()
    if bar:
        callbacks.append(TQDMProgressBar(refresh_rate=20))
    device, alternate = game.rng.device, game.discriminator is not None
    precision = "bf16-mixed" if device.type == "cuda" else "32-true"
    several = count(asked) > 1
    return {
        # Lightning's own choice knows accelerators that no game plays on.
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": count(asked) // asked.num_nodes,
        "num_nodes": asked.num_nodes,
        # Where two players take turns, each step leaves one's weights unused.
        "strategy": DDPStrategy(find_unused_parameters=alternate) if several else "auto",
        "precision": precision if asked.precision == "auto" else asked.precision,
        "enable_progress_bar": bar,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says about itself: tips, hardware lists, data loader advice."""
    with at_level(logging.ERROR, "lightning.pytorch", "lightning.fabric"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        yield

"""What watches a training and what it leaves behind, beside Lightning's own callbacks."""

import logging
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from torch import Tensor

from recgan.adversarial.diagnostics import Lines, Row, alarms
from recgan.adversarial.game import Turn
from recgan.adversarial.module import AdversarialModule

log = logging.getLogger(__name__)


class Diagnostics(Callback):
    """Keep the curves, sound the alarms, report, and see to it that the last epoch is looked at."""

    def __init__(
        self, label: str, epochs: int, evaluate_every: int, lines: Lines, monitor: str | None, mode: str
    ) -> None:
        """Take what to report.

        Args:
            label: what the training is called.
            epochs: the most epochs.
            evaluate_every: epochs between two looks.
            lines: the limits beyond which a measure is unhealthy.
            monitor: the measure by which the best look is chosen; None where none is chosen.
            mode: min or max, which of the monitored measure is better.
        """
        self.label = label
        self.epochs = epochs
        self.evaluate_every = evaluate_every
        self.lines = lines
        self.monitor = monitor
        self.mode = mode
        self.curves: list[Row] = []
        self.alarms: dict[str, int] = {}
        self.finished = False

    def state_dict(self) -> dict[str, Any]:
        """Return the curves, the alarms, and whether the training has come to its end."""
        return {"curves": self.curves, "alarms": self.alarms, "finished": self.finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        vars(self).update(state_dict)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Play no epoch more where patience or time had ended the training before."""
        if self.finished:
            trainer.should_stop = True
        elif self.curves and trainer.is_global_zero:
            log.info("%s: resuming after epoch %d", self.label, len(self.curves))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Have the last epoch looked at, whatever its number."""
        last = trainer.current_epoch + 1 == self.epochs
        trainer.check_val_every_n_epoch = 1 if last else self.evaluate_every

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the epoch's row, and say once of each measure that it is ill."""
        assert isinstance(pl_module, AdversarialModule)
        epoch = trainer.current_epoch + 1
        row: Row = {"epoch": epoch, **pl_module.row}
        if self.monitor is not None:
            row[self.monitor] = None
        row.update(pl_module.found)
        self.curves.append(row)
        for measure, message in alarms(self.curves, self.lines).items():
            if measure not in self.alarms:
                self.alarms[measure] = epoch
                if trainer.is_global_zero:
                    log.warning("%s, epoch %d: %s", self.label, epoch, message)
        looked = epoch % self.evaluate_every == 0 or epoch == self.epochs
        if looked and trainer.is_global_zero and trainer.progress_bar_callback is None:
            self._report(epoch, row)

    def _report(self, epoch: int, row: Row) -> None:
        losses = ("d_loss", "g_loss")
        shown = ", ".join(f"{name} {row[name]:.3f}" for name in losses if name in row)
        scores = {one["epoch"]: one[self.monitor] for one in self.curves} if self.monitor else {}
        looked = {epoch: score for epoch, score in scores.items() if score is not None}
        if looked:
            best = (max if self.mode == "max" else min)(looked, key=lambda epoch: looked[epoch])
            shown += f", {self.monitor} {looked[epoch]:.4f} (best {looked[best]:.4f} in epoch {best})"
        log.info("%s, epoch %d of %d: %s", self.label, epoch, self.epochs, shown)


class GeneratorAverage(WeightAveraging):
    """Lightning's exponential average, of the generator alone and taken after its steps.

    It averages what batch normalisation goes by with the weights; whole numbers, as its count of batches, are
    copied. Unlike Lightning's own it starts at the first weights, not at those after the first step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=_mover(decay))

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Copy the generator, and not the rows that it plays on."""
        assert isinstance(pl_module, AdversarialModule)
        kept = pl_module.game, pl_module.look
        pl_module.game = pl_module.look = None  # type: ignore[assignment]
        super().setup(trainer, pl_module, stage)
        pl_module.game, pl_module.look = kept
        assert self._average_model is not None
        self._average_model.n_averaged.fill_(1)
        average = self._average_model.module
        assert isinstance(average, AdversarialModule)
        average.discriminator = pl_module.discriminator  # one and the same: it has no average

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Turn,
        batch_idx: int,
    ) -> None:
        """Move the average after a step of the generator."""
        if batch.player == "generator":
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def _mover(decay: float) -> Any:
    @torch.no_grad()
    def move(averages: list[Tensor], weights: list[Tensor], _: Tensor) -> None:
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, 1 - decay)
        else:
            torch._foreach_copy_(averages, weights)

    return move


class BestCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint of the best look; a project that was moved meanwhile still finds it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what was best, its paths those of today's folder."""

        def here(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved: dict[str, Any] = {name: here(state_dict[name]) for name in paths}
        moved["best_k_models"] = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "dirpath": self.dirpath})


class OneStep(TorchCheckpointIO):
    """Lightning's files, written in one step wherever the temporary folder is.

    Lightning writes into the system's temporary folder and moves the file from there, which copies it where
    that is another disk: a killed training would find half of it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save a checkpoint: whoever reads finds the old or the new one."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        torch.save(checkpoint, new)
        new.replace(path)

"""The training loop on the smallest game there is: two numbers."""

import logging
import math
import shutil

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision.amp import MixedPrecision
from torch import nn

from recgan.adversarial import play as training
from recgan.adversarial.diagnostics import Lines
from recgan.adversarial.play import play
from recgan.adversarial.schedule import Rules
from recgan.adversarial.share import ALONE
from recgan.core.errors import RecganError
from tests.adversarial.laws import TRAINER


class Number(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))


class Duel:
    """The generator seeks 1, the discriminator 2, each with noise from rng."""

    share = ALONE

    def __init__(self, rate=0.1, touch_both=False):
        self.generator, self.discriminator = Number(0), Number(0)
        self.rng = torch.Generator().manual_seed(3)
        self.rate, self.touch_both = rate, touch_both

    def optimizers(self):
        return tuple(
            torch.optim.Adam(n.parameters(), lr=self.rate) for n in (self.discriminator, self.generator)
        )

    def begin_epoch(self, epoch):
        self.noise = torch.rand((), generator=self.rng)

    def begin_turn(self, player):
        self.rests = self.generator if player == "discriminator" else self.discriminator
        self.at = self.rests.value.item()

    def steps(self, player):
        return 3

    def batches(self, player):
        return iter((2, 2, 2) if player == "discriminator" else (1, 1, 1))

    def loss(self, player, batch):
        assert self.rests.value.item() == self.at or math.isnan(self.at)
        own = getattr(self, player)
        loss = (own.value - batch - 0.1 * self.noise).square()
        return loss + self.rests.value if self.touch_both else loss

    def measured(self):
        return {"noise": self.noise}


def watched(game, **options):
    """Play on one CPU; a score is looked for under the name of score."""
    validate = options.pop("validate", None)
    if validate is not None:
        options |= {"look": lambda: {"score": validate()}, "monitor": "score"}
    return play(game, **{"trainer": TRAINER, **options})


def test_each_player_moves_only_in_its_turn():
    game = Duel(touch_both=True)
    watched(game, epochs=40)
    assert game.generator.value.item() == pytest.approx(1.05, abs=0.1)
    assert game.discriminator.value.item() == pytest.approx(2.05, abs=0.1)


def test_curves_have_a_row_for_each_epoch():
    progress = watched(Duel(), epochs=3)
    assert [row["epoch"] for row in progress.curves] == [1, 2, 3]
    assert set(progress.curves[0]) == {
        "epoch",
        "d_loss",
        "g_loss",
        "noise",
        "g_grad_norm",
        "d_grad_norm",
    }
    assert (progress.best_epoch, progress.best_score) == (3, None)


def test_a_game_without_a_discriminator_is_one_training(tmp_path):
    """With the generator's draws, losses and resumption, and nothing of a discriminator's on the curves."""

    def alone():
        game = Duel()
        game.discriminator = None
        game.begin_turn = lambda player: setattr(game, "rests", Number(0)) or setattr(game, "at", 0)
        game.optimizers = lambda: (torch.optim.Adam(game.generator.parameters(), lr=0.1),)
        return game

    whole = alone()
    progress = watched(whole, epochs=40, lines=Lines(gradient_growth=2))
    assert set(progress.curves[0]) == {"epoch", "g_loss", "noise", "g_grad_norm"}
    assert whole.generator.value.item() == pytest.approx(1.05, abs=0.1)
    place = tmp_path / "a.ckpt"
    watched(alone(), epochs=20, checkpoint=place)
    state = torch.load(place, weights_only=True)
    callback = next(name for name in state["callbacks"] if "Diagnostics" in name)
    state["callbacks"][callback]["finished"] = False
    torch.save(state, place)
    resumed = alone()
    watched(resumed, epochs=40, checkpoint=place)
    assert torch.equal(resumed.generator.value, whole.generator.value)
    watched(alone(), epochs=2, rules=Rules(ema=0.5))


def test_the_best_look_is_kept_and_patience_ends_the_training():
    game = Duel()
    scores, seen = iter([0.1, 0.5, 0.4, 0.3, 0.9]), []

    def validate():
        seen.append(game.generator.value.item())
        return next(scores)

    progress = watched(game, epochs=50, validate=validate, evaluate_every=2, patience=2)
    assert [row["score"] for row in progress.curves] == [None, 0.1, None, 0.5, None, 0.4, None, 0.3]
    assert (progress.best_epoch, progress.best_score) == (4, 0.5)
    assert game.generator.value.item() == seen[1]


def test_the_last_epoch_is_looked_at_too():
    progress = watched(Duel(), epochs=5, validate=lambda: 1.0, evaluate_every=3)
    assert [row["score"] for row in progress.curves] == [None, None, 1.0, None, 1.0]
    assert progress.best_epoch == 3


@pytest.mark.parametrize("dies_at_look", [2, 3])
def test_a_killed_training_ends_as_the_uninterrupted_one(tmp_path, dies_at_look):
    def run(checkpoint=None, dies_at=None, game=None):
        game, looks = Duel(), []

        def validate():
            looks.append(1)
            if len(looks) == dies_at:
                raise MemoryError("killed")
            return -abs(game.generator.value.item() - 0.5)

        return game, watched(game, epochs=11, validate=validate, evaluate_every=3, checkpoint=checkpoint)

    whole_game, whole = run()
    checkpoint = tmp_path / "a/b.ckpt"
    with pytest.raises(MemoryError):
        run(checkpoint, dies_at_look)
    game, resumed = run(checkpoint)
    assert resumed.curves == whole.curves
    assert (resumed.best_epoch, resumed.best_score) == (whole.best_epoch, whole.best_score)
    assert game.generator.value.item() == whole_game.generator.value.item()
    assert game.discriminator.value.item() == whole_game.discriminator.value.item()


def test_a_finished_training_is_not_played_again(tmp_path):
    checkpoint = tmp_path / "done.ckpt"
    first = Duel()
    whole = watched(first, epochs=4, checkpoint=checkpoint, validate=lambda: 1.0, evaluate_every=1)
    second = Duel()
    again = watched(second, epochs=4, checkpoint=checkpoint, validate=lambda: 1 / 0, evaluate_every=1)
    assert again.curves == whole.curves
    assert second.generator.value.item() == first.generator.value.item()


def test_training_stopped_by_patience_is_not_played_on(tmp_path):
    checkpoint = tmp_path / "done.ckpt"
    settings = {"epochs": 40, "checkpoint": checkpoint, "evaluate_every": 1, "patience": 2}
    whole = watched(Duel(), validate=lambda: 1.0, **settings)
    assert len(whole.curves) == 3
    assert watched(Duel(), validate=lambda: 1 / 0, **settings).curves == whole.curves


def test_nan_names_the_epoch_and_the_remedy():
    game = Duel(rate=float("inf"))
    with pytest.raises(RecganError, match=r"epoch 1: .*nan.*lower the learning rates"):
        watched(game, epochs=3)


def test_one_log_line_per_look_and_nothing_from_lightning(caplog, capfd):
    with caplog.at_level(logging.INFO):
        watched(Duel(), epochs=4, validate=lambda: 0.25, evaluate_every=2, label="train")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("recgan")]
    assert len(lines) == 2
    assert lines[0].startswith("train, epoch 2 of 4: d_loss ")
    assert "score 0.2500 (best 0.2500 in epoch 2)" in lines[0]
    assert [r for r in caplog.records if not r.name.startswith("recgan")] == []
    out, err = capfd.readouterr()
    assert "lightning" not in (out + err).lower()
    assert "TPU" not in out + err


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        nn.init.ones_(self.linear.weight)

    def forward(self, rows):
        return self.linear(rows)


class Squares:
    """Each player makes its layer's answers small, so many steps of plain gradient descent an epoch."""

    share = ALONE

    def __init__(self, steps=3):
        self.generator, self.discriminator = Layer(), Layer()
        self.rng = torch.Generator()
        self.n_steps = steps
        self.seen = {"discriminator": [], "generator": []}

    def optimizers(self):
        return tuple(torch.optim.SGD(n.parameters(), lr=0.1) for n in (self.discriminator, self.generator))

    def begin_epoch(self, epoch):
        pass

    def begin_turn(self, player):
        # As a game that has the resting player read all rows: it must not leave copies of weights behind.
        with torch.no_grad():
            self.generator(torch.ones(2, 4)), self.discriminator(torch.ones(2, 4))

    def steps(self, player):
        return self.n_steps

    def batches(self, player):
        return iter([torch.ones(2, 4)] * self.n_steps)

    def loss(self, player, batch):
        loss = getattr(self, player)(batch).float().square().mean()
        self.seen[player].append(loss.item())
        return loss

    def measured(self):
        return {}


@pytest.mark.parametrize("critic_steps", [None, 1])
@pytest.mark.parametrize("cached", [True, False])
def test_in_bfloat16_each_loss_is_of_the_weights_as_they_are(monkeypatch, cached, critic_steps):
    """With autocast's cache of weights as Lightning 2.5 has it, and without as 2.6."""
    monkeypatch.setattr(
        MixedPrecision,
        "autocast_context_manager",
        lambda self: torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=cached),
    )
    game = Squares(steps=2)
    bfloat16 = {**TRAINER, "precision": "bf16-mixed"}
    progress = play(game, epochs=2, trainer=bfloat16, rules=Rules(critic_steps=critic_steps))
    # The gradient of each weight is half the answer, so a step of .1 takes a fifth of it: in exact numbers
    # the loss falls by .8² a step, from 16.
    for losses in game.seen.values():
        assert losses == pytest.approx([16 * 0.64**step for step in range(4)], rel=0.02)
    assert progress.curves[0]["d_loss"] == pytest.approx(16 * (1 + 0.64) / 2, rel=0.02)


def test_what_is_looked_at_is_in_full_precision():
    game, seen = Squares(), []

    def look():
        seen.append(game.generator(torch.full((1, 4), 1 / 3)).dtype)
        return {}

    play(game, epochs=1, trainer={**TRAINER, "precision": "bf16-mixed"}, look=look)
    assert seen == [torch.float32]


def test_a_moved_project_goes_on_and_keeps_its_best(tmp_path):
    scores = [0.9, 0.1, 0.2, 0.3]

    def run(folder, dies_at=None):
        game, looks = Duel(), []
        start = 0 if dies_at or not (folder / "a.ckpt").exists() else 2

        def validate():
            looks.append(game.generator.value.item())
            if len(looks) == dies_at:
                raise MemoryError("killed")
            return scores[start + len(looks) - 1]

        return game, watched(
            game, epochs=4, validate=validate, evaluate_every=1, checkpoint=folder / "a.ckpt"
        )

    whole_game, whole = run(tmp_path / "whole")
    with pytest.raises(MemoryError):
        run(tmp_path / "old", dies_at=3)
    shutil.move(tmp_path / "old", tmp_path / "new")
    game, moved = run(tmp_path / "new")
    assert (moved.best_epoch, moved.best_score) == (whole.best_epoch, whole.best_score) == (1, 0.9)
    assert moved.curves == whole.curves
    assert game.generator.value.item() == whole_game.generator.value.item()


def test_a_checkpoint_is_written_in_one_step(tmp_path, monkeypatch):
    """A training that dies amid its second checkpoint leaves the first."""
    checkpoint, saves = tmp_path / "a.ckpt", []
    save = torch.save

    def dies(content, path):
        saves.append(path)
        if len(saves) == 2:
            with open(path, "wb") as file:
                file.write(b"half")
            raise MemoryError("killed")
        save(content, path)

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(MemoryError):
        watched(Duel(), epochs=4, evaluate_every=1, checkpoint=checkpoint)
    monkeypatch.undo()
    whole = watched(Duel(), epochs=4, evaluate_every=1)
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 0
    assert watched(Duel(), epochs=4, evaluate_every=1, checkpoint=checkpoint).curves == whole.curves


def test_when_its_time_is_up_no_further_epoch_begins(monkeypatch):
    minute = {**TRAINER, "max_time": "00:00:01:00"}
    game, spent = Duel(), []
    monkeypatch.setattr(Timer, "time_elapsed", lambda self, stage="train": sum(spent))
    begin, game.begin_epoch = game.begin_epoch, lambda epoch: (begin(epoch), spent.append(25.0))
    scores = iter([0.2])
    progress = watched(game, epochs=50, trainer=minute, validate=lambda: next(scores), evaluate_every=2)
    assert [row["epoch"] for row in progress.curves] == [1, 2, 3]
    assert (progress.best_epoch, progress.best_score) == (2, 0.2)
    spent.append(60.0)
    with pytest.raises(RecganError, match="max_time 00:00:01:00 was over before the first epoch; raise it"):
        watched(Duel(), epochs=50, trainer=minute)


def test_a_logger_is_told_of_each_epoch_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "follower", lambda label: CSVLogger(tmp_path, name="", version=""))
    scores = iter([0.5, 0.25])
    watched(Duel(), epochs=4, validate=lambda: next(scores), evaluate_every=2)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    assert [row["step"] for row in rows if row["d_loss"]] == ["1", "2", "3", "4"]
    assert [(row["step"], row["score"]) for row in rows if row["score"]] == [("2", "0.5"), ("4", "0.25")]


def test_on_a_terminal_there_is_a_bar_instead_of_lines(monkeypatch, caplog, capsys):
    monkeypatch.setattr(training.sys.stdout, "isatty", lambda: True, raising=False)
    with caplog.at_level(logging.INFO):
        watched(Duel(), epochs=2, evaluate_every=1)
    assert "Epoch 1" in "".join(capsys.readouterr())
    assert [record for record in caplog.records if record.name.startswith("recgan")] == []


def test_it_is_a_lightning_module_of_single_steps():
    """Lightning's own count: six steps an epoch, and its Trainer knows of each."""
    seen = []

    class Count(lightning.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            seen.append((batch.player[0], trainer.global_step, batch.last))

    original = training.lightning.Trainer
    training.lightning.Trainer = lambda **given: original(
        **{**given, "callbacks": [*given["callbacks"], Count()]}
    )
    try:
        watched(Duel(), epochs=1)
    finally:
        training.lightning.Trainer = original
    assert seen == [
        ("d", 1, False),
        ("d", 2, False),
        ("d", 3, True),
        ("g", 4, False),
        ("g", 5, False),
        ("g", 6, True),
    ]

"""The training loop on the smallest game there is: two numbers."""

import logging
import math

import lightning
import pytest
import torch
from lightning.pytorch.plugins.precision.amp import MixedPrecision
from torch import nn

from recgan.adversarial import module
from recgan.adversarial.module import play
from recgan.adversarial.schedule import Rules
from recgan.core.errors import RecganError


class Number(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))


class Duel(nn.Module):
    """The generator seeks 1, the discriminator 2, each with noise from rng."""

    def __init__(self, rate=0.1, touch_both=False):
        super().__init__()
        self.generator, self.discriminator = Number(0), Number(0)
        self.rng = torch.Generator().manual_seed(3)
        self.rate, self.touch_both = rate, touch_both
        self.log = []

    def optimizers(self):
        return tuple(
            torch.optim.Adam(n.parameters(), lr=self.rate) for n in (self.discriminator, self.generator)
        )

    def begin_epoch(self):
        self.noise = torch.rand((), generator=self.rng)

    def _turn(self, player, other, goal):
        for _ in range(3):
            before = other.value.item()
            loss = (player.value - goal - 0.1 * self.noise).square()
            yield loss + other.value if self.touch_both else loss
            assert other.value.item() == before or math.isnan(before)

    def discriminator_turn(self):
        return self._turn(self.discriminator, self.generator, 2)

    def generator_turn(self):
        return self._turn(self.generator, self.discriminator, 1)

    def measured(self):
        return {"noise": self.noise}


CPU = torch.device("cpu")


def test_each_player_moves_only_in_its_turn():
    game = Duel(touch_both=True)
    play(game, epochs=40, device=CPU)
    assert game.generator.value.item() == pytest.approx(1.05, abs=0.1)
    assert game.discriminator.value.item() == pytest.approx(2.05, abs=0.1)


def test_curves_have_a_row_for_each_epoch():
    progress = play(Duel(), epochs=3, device=CPU)
    assert [row["epoch"] for row in progress.curves] == [1, 2, 3]
    assert set(progress.curves[0]) == {
        "epoch",
        "d_loss",
        "g_loss",
        "noise",
        "g_grad_norm",
        "d_grad_norm",
        "score",
    }
    assert all(row["score"] is None for row in progress.curves)
    assert (progress.best_epoch, progress.best_score) == (3, None)


def test_the_best_look_is_kept_and_patience_ends_the_training():
    game = Duel()
    scores, seen = iter([0.1, 0.5, 0.4, 0.3, 0.9]), []

    def validate():
        seen.append(game.generator.value.item())
        return next(scores)

    progress = play(game, epochs=50, device=CPU, validate=validate, evaluate_every=2, patience=2)
    assert [row["score"] for row in progress.curves] == [None, 0.1, None, 0.5, None, 0.4, None, 0.3]
    assert (progress.best_epoch, progress.best_score) == (4, 0.5)
    assert game.generator.value.item() == seen[1]


def test_the_last_epoch_is_looked_at_too():
    progress = play(Duel(), epochs=5, device=CPU, validate=lambda: 1.0, evaluate_every=3)
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

        return game, play(
            game, epochs=11, device=CPU, validate=validate, evaluate_every=3, checkpoint=checkpoint
        )

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
    whole = play(first, epochs=4, device=CPU, checkpoint=checkpoint, validate=lambda: 1.0, evaluate_every=1)
    second = Duel()
    again = play(
        second, epochs=4, device=CPU, checkpoint=checkpoint, validate=lambda: 1 / 0, evaluate_every=1
    )
    assert again.curves == whole.curves
    assert second.generator.value.item() == first.generator.value.item()


def test_training_stopped_by_patience_is_not_played_on(tmp_path):
    checkpoint = tmp_path / "done.ckpt"
    settings = {"epochs": 40, "device": CPU, "checkpoint": checkpoint, "evaluate_every": 1, "patience": 2}
    whole = play(Duel(), validate=lambda: 1.0, **settings)
    assert len(whole.curves) == 3
    assert play(Duel(), validate=lambda: 1 / 0, **settings).curves == whole.curves


def test_nan_names_the_epoch_and_the_remedy():
    game = Duel(rate=float("inf"))
    with pytest.raises(RecganError, match=r"epoch 1: .*nan.*lower the learning rates"):
        play(game, epochs=3, device=CPU)


def test_one_log_line_per_look_and_nothing_from_lightning(caplog, capfd):
    with caplog.at_level(logging.INFO):
        play(Duel(), epochs=4, device=CPU, validate=lambda: 0.25, evaluate_every=2, label="train")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("recgan")]
    assert len(lines) == 2
    assert lines[0].startswith("train, epoch 2 of 4: d_loss ")
    assert "validation 0.2500 (best 0.2500 in epoch 2)" in lines[0]
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


class Squares(nn.Module):
    """Each player makes its layer's answers small, three steps of plain gradient descent an epoch."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Layer(), Layer()
        self.rng = torch.Generator()
        self.seen = {"d": [], "g": []}

    def optimizers(self):
        return tuple(torch.optim.SGD(n.parameters(), lr=0.1) for n in (self.discriminator, self.generator))

    def begin_epoch(self):
        pass

    def _turn(self, name, player):
        for _ in range(3):
            loss = player(torch.ones(2, 4)).float().square().mean()
            self.seen[name].append(loss.item())
            yield loss

    def discriminator_turn(self):
        return self._turn("d", self.discriminator)

    def generator_turn(self):
        return self._turn("g", self.generator)

    def generator_steps(self):
        return 3

    def measured(self):
        return {}


@pytest.mark.parametrize("critic_steps", [None, 1])
@pytest.mark.parametrize("cached", [True, False])
def test_in_bfloat16_each_loss_is_of_the_weights_as_they_are(monkeypatch, cached, critic_steps):
    """As on a GPU, with autocast's cache of weights as Lightning 2.5 has it, and without as 2.6."""
    trainer = lightning.Trainer
    monkeypatch.setattr(
        module.lightning, "Trainer", lambda **options: trainer(**{**options, "precision": "bf16-mixed"})
    )
    monkeypatch.setattr(
        MixedPrecision,
        "autocast_context_manager",
        lambda self: torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=cached),
    )
    game = Squares()
    play(game, epochs=2, device=CPU, rules=Rules(critic_steps=critic_steps))
    # The gradient of each weight is half the answer, so a step of .1 takes a fifth of it: in exact numbers
    # the loss falls by .8² a step, from 16.
    for losses in game.seen.values():
        assert losses == pytest.approx([16 * 0.64**step for step in range(6)], rel=0.02)

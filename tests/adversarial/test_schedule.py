"""How the players take turns, on a game whose every step is known."""

import pytest
import torch
from torch import nn

from recgan.adversarial.play import play
from recgan.adversarial.schedule import Rules, ramp
from recgan.adversarial.share import ALONE
from tests.adversarial.laws import TRAINER


class Number(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class Walk:
    """Each player walks by plain gradient descent, slope `pull` and rate 1: its value counts its steps."""

    share = ALONE

    def __init__(self, pull=1.0, d_steps=2, g_steps=3):
        self.generator, self.discriminator = Number(), Number()
        self.rng = torch.Generator().manual_seed(0)
        self.pull, self.n_steps = pull, {"discriminator": d_steps, "generator": g_steps}
        self.order = []

    def optimizers(self):
        return tuple(torch.optim.SGD(n.parameters(), lr=1.0) for n in (self.discriminator, self.generator))

    def begin_epoch(self, epoch):
        self.order.append("|")

    def begin_turn(self, player):
        self.order.append(player[0].upper())

    def steps(self, player):
        return self.n_steps[player]

    def batches(self, player):
        return iter(range(self.n_steps[player]))

    def loss(self, player, batch):
        rests = self.generator if player == "discriminator" else self.discriminator
        assert not rests.value.requires_grad
        self.order.append(player[0])
        return -self.pull * getattr(self, player).value

    def measured(self):
        return {}


def walked(rules, epochs=1, pull=1.0, **options):
    game = Walk(pull)
    play(game, epochs=epochs, trainer=TRAINER, rules=rules, **options)
    return game


def test_a_turn_at_a_time_unless_told_otherwise():
    assert "".join(walked(Rules(), 2).order) == "|DddGggg|DddGggg"


def test_critic_steps_go_before_each_generator_step():
    """As in the first lines of algorithm 1 of Gulrajani et al. (2017)."""
    game = walked(Rules(critic_steps=3), 2)
    assert "".join(game.order) == "|dddgdddgdddg|dddgdddgdddg"
    assert (game.discriminator.value.item(), game.generator.value.item()) == (18, 6)


@pytest.mark.parametrize("validated", [True, False])
def test_what_is_kept_is_the_average_of_the_generators_weights(validated):
    """a_t = .9 a_{t-1} + .1 w_t with w_t = t, so a_t = t - 9 (1 - .9^t)."""
    seen, game = [], Walk()

    def validate():
        seen.append(game.generator.value.item())
        return seen[-1]

    watch = {"look": lambda: {"score": validate()}, "monitor": "score"} if validated else {}
    play(game, epochs=4, trainer=TRAINER, rules=Rules(ema=0.9), evaluate_every=1, **watch)
    expected = [t - 9 * (1 - 0.9**t) for t in (3, 6, 9, 12)]
    if validated:
        assert seen == pytest.approx(expected, abs=1e-5)
    assert game.generator.value.item() == pytest.approx(expected[-1], abs=1e-5)
    assert game.discriminator.value.item() == 8


def test_the_best_average_is_kept():
    game, scores = Walk(), iter([0.5, 0.9, 0.1])
    progress = play(
        game,
        epochs=3,
        trainer=TRAINER,
        rules=Rules(ema=0.9),
        look=lambda: {"score": next(scores)},
        monitor="score",
        evaluate_every=1,
    )
    assert progress.best_epoch == 2
    assert game.generator.value.item() == pytest.approx(6 - 9 * (1 - 0.9**6), abs=1e-5)


class Normalised(Walk):
    """A generator with running statistics, as batch normalisation has them: its mean counts its steps."""

    def __init__(self):
        super().__init__()
        self.generator.register_buffer("running", torch.zeros(()))
        self.generator.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def loss(self, player, batch):
        if player == "generator":
            self.generator.running += 1
            self.generator.batches += 1
        return super().loss(player, batch)


def test_running_statistics_are_averaged_with_the_weights():
    game, seen = Normalised(), []

    def probe():
        seen.append(game.generator.running.item())
        return {}

    play(game, epochs=2, trainer=TRAINER, rules=Rules(ema=0.9), look=probe, evaluate_every=1)
    expected = [t - 9 * (1 - 0.9**t) for t in (3, 6)]
    assert seen == pytest.approx(expected, abs=1e-5)
    assert game.generator.running.item() == pytest.approx(expected[-1], abs=1e-5)
    assert game.generator.batches.item() == 6  # a count is no average


@pytest.mark.parametrize("ends", [2, 4])
def test_the_average_survives_a_kill(tmp_path, ends):
    """Killed at the second look, or asked again when finished."""
    checkpoint, looks = tmp_path / "a.ckpt", []

    def probe():
        looks.append(1)
        if len(looks) == ends:
            raise MemoryError("killed")
        return {}

    settings = {"epochs": 3, "trainer": TRAINER, "rules": Rules(ema=0.9), "evaluate_every": 1}
    if ends == 2:
        with pytest.raises(MemoryError):
            play(Walk(), checkpoint=checkpoint, look=probe, **settings)
    else:
        play(Walk(), checkpoint=checkpoint, look=probe, **settings)
    game = Walk()
    play(game, checkpoint=checkpoint, **settings)
    assert game.generator.value.item() == pytest.approx(9 - 9 * (1 - 0.9**9), abs=1e-5)


def test_gradients_are_clipped_for_each_player_and_shown_unclipped():
    game = Walk(pull=8.0)
    progress = play(game, epochs=1, trainer=TRAINER, rules=Rules(clip_discriminator=0.5, clip_generator=4.0))
    assert game.discriminator.value.item() == pytest.approx(2 * 0.5)
    assert game.generator.value.item() == pytest.approx(3 * 4.0)
    row = progress.curves[0]
    assert (row["d_grad_norm"], row["g_grad_norm"]) == (8, 8)
    unclipped = walked(Rules(clip_discriminator=9.0), pull=8.0)
    assert unclipped.discriminator.value.item() == 16


def test_weights_are_clipped_after_each_step_of_the_discriminator_alone():
    game = walked(Rules(clip_weights=0.3))
    assert game.discriminator.value.item() == pytest.approx(0.3)
    assert game.generator.value.item() == 3


def test_ramp():
    assert [ramp(epoch, 2, 4) for epoch in range(8)] == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert [ramp(epoch, 0, 0) for epoch in range(3)] == [1, 1, 1]
    assert [ramp(epoch, 1, 0) for epoch in range(3)] == [0, 1, 1]


def test_what_a_look_finds_is_shown():
    game = Walk()
    progress = play(
        game,
        epochs=5,
        trainer=TRAINER,
        evaluate_every=2,
        monitor="score",
        look=lambda: {"score": 1.0, "seen": game.generator.value.item()},
    )
    assert [row.get("seen") for row in progress.curves] == [None, 6, None, 12, 15]
    assert [row["score"] for row in progress.curves] == [None, 1, None, 1, 1]

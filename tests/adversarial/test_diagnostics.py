"""Measures of health against counts by hand; alarms against the lines they name."""

import re

import numpy as np
import pytest
import torch

from recgan.adversarial.diagnostics import Lines, alarms, effective_number, effective_rank, win_rate

LINES = Lines(grace=3, win_rate=0.94, gradient_growth=10, floors={"items": 60})


def curves(**last):
    healthy = {"win_rate": 0.6, "g_grad_norm": 0.4, "d_grad_norm": 0.2, "items": 200.0}
    return [dict(healthy) for _ in range(5)] + [{**healthy, **last}]


def test_win_rate_is_the_share_of_pairs():
    real, fake = torch.tensor([1.0, 0.0, 2.0, 1.0]), torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert win_rate(real, fake).item() == 0.5


def test_effective_number():
    assert effective_number(np.array([5, 5, 5, 5, 0])) == pytest.approx(4)
    assert effective_number(np.array([7])) == pytest.approx(1)
    assert effective_number(np.array([2, 1, 1])) == pytest.approx(2**1.5)  # entropy 1.5 bits
    assert effective_number(np.zeros(3)) == 0


def test_effective_rank_of_known_singular_values():
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(30, 4)))
    right, _ = np.linalg.qr(rng.normal(size=(20, 4)))
    for values, expected in (([1, 1, 1, 1], 4), ([2, 1, 1, 0], 2**1.5), ([3, 0, 0, 0], 1)):
        matrix = left * np.array(values) @ right.T
        assert effective_rank(matrix) == pytest.approx(expected, abs=1e-4)
        assert effective_rank(matrix.T) == pytest.approx(expected, abs=1e-4)
    assert effective_rank(np.eye(7, 9)) == pytest.approx(7)


def test_a_healthy_game_raises_no_alarm():
    assert alarms(curves(), LINES) == {}
    assert alarms(curves(win_rate=0.93, g_grad_norm=3.9, items=61.0), LINES) == {}


@pytest.mark.parametrize(
    ("last", "measure", "message"),
    [
        ({"win_rate": 0.97}, "win_rate", r"wins 97.0% of all pairs \(line 94.0%\)"),
        ({"g_grad_norm": 4.1}, "g_grad_norm", r"generator's gradient norm is 4.1, .*10 times .* 0.4"),
        ({"d_grad_norm": 2.1}, "d_grad_norm", r"discriminator's gradient norm is 2.1"),
        ({"items": 21.0}, "items", r"items is 21.0 \(line 60\): what is generated has collapsed"),
    ],
)
def test_an_alarm_names_the_measure_and_its_line(last, measure, message):
    found = alarms(curves(**last), LINES)
    assert list(found) == [measure]
    assert re.search(message, found[measure])
    assert alarms(curves(**last), Lines()) == {}


def test_nothing_is_alarming_at_the_start_or_where_nobody_looked():
    row = {"win_rate": 1.0, "g_grad_norm": 90.0, "d_grad_norm": 90.0, "items": 1.0}
    assert alarms([row] * 3, LINES) == {}
    assert set(alarms([row] * 4, LINES)) == {"win_rate", "items"}  # the gradients' early level is high too
    assert alarms(curves(items=None), LINES) == {}

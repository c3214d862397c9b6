"""RC-GAN in two processes that share its rows: what comes of it is what one process finds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from recgan.adversarial.share import Share
from recgan.adversarial.sparse import SparseRows
from recgan.core.errors import RecganError
from recgan.recommenders.rcgan.recommender import RCGAN
from tests.adversarial.laws import TRAINER
from tests.conftest import ROOT
from tests.recommenders import test_cfgan, test_feature_gan, test_irgan, test_rcgan, test_student
from tests.recommenders.data import histories

SCRIPT = """
import json, sys
from pathlib import Path
from recgan.adversarial.devices import writes
from recgan.recommenders.rcgan import game
from tests.recommenders.test_rcgan_processes import fit, fitted_on
game.pays = lambda rows, learning, resting: learning == 24  # the generator by Gramians, the critic not
fitted = fit(2, "ddp_find_unused_parameters_true", Path(sys.argv[1]) / "choose.ckpt")
if writes():
    chosen = [fitted.training.best_epoch, fitted.critic_share]
    print(json.dumps([chosen, fitted.training.curves, fitted.score(fitted_on()).tolist()]))
"""


def fitted_on():
    return histories(17, 14)  # in batches of 8 the last user is alone: a batch without rows for the second


def fit(devices=1, strategy="auto", checkpoint=None):
    trainer = {**TRAINER, "devices": devices, "strategy": strategy}
    chosen = test_rcgan.settings(trainer=trainer, user_weight_power=0.3, critic_shares=[0, 0.5, 1])

    def validate(recommender):
        return float(recommender.score(fitted_on())[:, :3].mean())

    return RCGAN(chosen).fit(fitted_on(), validate, checkpoint=checkpoint)


def test_two_processes_find_what_one_finds(tmp_path):
    script = tmp_path / "two.py"  # Lightning starts the second process as the first one was started
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # of two processes one speaks
    chosen, curves, scores = json.loads(line)
    alone = fit()
    assert chosen == [alone.training.best_epoch, alone.critic_share]
    assert [row.keys() for row in curves] == [row.keys() for row in alone.training.curves]
    for row, expected in zip(curves, alone.training.curves, strict=True):
        for name, value in expected.items():
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)), name
    np.testing.assert_allclose(scores, alone.score(fitted_on()), rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["choose-best.ckpt", "choose.ckpt"]


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_of_a_batch_are_the_batch(processes):
    """Every entry is some process's, with the dropout that one process would have drawn."""
    rows = SparseRows(histories(17, 14))
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))

    def batches(share):
        return list(rows.batches(order, 8, 0.3, torch.Generator().manual_seed(2), share))

    whole = batches(Share())
    parts = [batches(Share(rank, processes)) for rank in range(processes)]
    for number, batch in enumerate(whole):
        own = [part[number] for part in parts]
        together = torch.cat([one.entries for one in own])
        assert sorted(together.tolist()) == sorted(batch.entries.tolist())
        assert [one.mean_over for one in own] == [len(batch.rows) / processes] * processes
        values = dict(zip(batch.entries.tolist(), batch.by_row.values.tolist(), strict=True))
        for rank, one in enumerate(own):
            assert one.rows.tolist() == batch.rows[rank::processes].tolist()
            assert one.by_row.values.tolist() == [values[entry] for entry in one.entries.tolist()]


def test_a_batch_smaller_than_the_processes_is_refused():
    rows = SparseRows(histories())
    with pytest.raises(RecganError, match="a batch of 2 rows is too small for 3 processes; raise batch_size"):
        next(rows.batches(torch.arange(20), 2, share=Share(0, 3)))


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"devices": 2}, "with devices 2 and num_nodes 1 the strategy must be ddp_find_unused"),
        ({"devices": "auto"}, "with devices auto and num_nodes 1 the strategy must be ddp_find_unused"),
    ],
)
def test_several_devices_need_a_strategy_for_players_that_take_turns(trainer, message):
    with pytest.raises(ValueError, match=message):
        test_rcgan.settings(trainer={**TRAINER, **trainer})


@pytest.mark.parametrize("settings", [test_cfgan.settings, test_irgan.settings, test_feature_gan.settings])
def test_what_shares_no_rows_is_refused_several_devices_with_its_settings(settings):
    several = {**TRAINER, "devices": 2, "strategy": "ddp_find_unused_parameters_true"}
    with pytest.raises(ValueError, match="trains on one device; set both to 1"):
        settings(trainer=several)
    with pytest.raises(ValueError, match="a student's teacher trains on one device"):
        test_student.settings({"trainer": several})

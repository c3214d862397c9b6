"""Every trained recommender in two processes: what comes of it is what one process finds."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from recgan.adversarial.processes import by_first, is_first, joined, of_all, start
from recgan.adversarial.settings import ONE_DEVICE, TrainerParams
from recgan.adversarial.share import Share
from recgan.adversarial.sparse import SparseRows
from recgan.core.errors import RecganError, Unavailable
from recgan.recommenders.averaged.recommender import Averaged
from recgan.recommenders.averaged.settings import AveragedParams
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.feature_gan.recommender import FeatureGAN
from recgan.recommenders.fit import on_one_device
from recgan.recommenders.irgan.recommender import IRGAN
from recgan.recommenders.rcgan import game
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.student.recommender import Student
from recgan.recommenders.train import train
from tests.adversarial.laws import TRAINER
from tests.recommenders import (
    test_cfgan,
    test_feature_gan,
    test_irgan,
    test_rcgan,
    test_sequence,
    test_student,
    test_two_stage,
)
from tests.recommenders.data import histories

TWO = {**TRAINER, "devices": 2, "strategy": "ddp_find_unused_parameters_true"}
ROWS = histories(17, 14)  # in batches of 8 the last user is alone: a batch without rows for the second
TIMES = np.random.default_rng(0).permutation(ROWS.nnz).astype(np.float32)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
RC = {"user_weight_power": 0.3, "critic_shares": [0, 0.5, 1]}


def of_rows(trainer):
    """Yield what trains on rows alone, unfitted."""
    yield RCGAN(test_rcgan.settings(trainer=trainer, **RC))
    yield CFGAN(test_cfgan.settings(trainer=trainer))
    yield IRGAN(test_irgan.settings(trainer=trainer))
    yield FeatureGAN(test_feature_gan.settings(trainer=trainer), test_feature_gan.products(), lambda _: None)
    yield Sequence(test_sequence.settings(trainer=trainer, batch_size=8, evaluate_every=2), lambda _: TIMES)
    lists = {"l2": [1, 2], "generated_weights": [0.5, 1.5]}
    yield Student(test_student.settings({"trainer": trainer, "epochs": 2}, **lists))


def of_features(trainer, checkpoints):
    """Yield what holds other candidates, fitted; two stages on train and then anew on all."""
    built = test_two_stage.features(test_two_stage.loyal())
    generator = test_rcgan.settings(trainer=trainer, epochs=2, evaluate_every=1).model_dump()
    section = test_two_stage.section(generator=generator, blend=[test_two_stage.POPULARITY])
    two_stage = train(section, built, 5, checkpoints).trained
    yield two_stage, [two_stage.training.best_epoch, two_stage.training.validation_ndcg]
    member = test_irgan.settings(trainer=trainer, epochs=2)
    section = AveragedParams(recommender="averaged", member=member, seeds=2, refit=False)
    averaged = Averaged.unfitted(section, built).fit(
        built.train, lambda one: float(one.score(built.train)[:, 0].mean())
    )
    yield averaged, [len(averaged.members), averaged.training.best_epoch]


def validate(recommender):
    return float(recommender.score(ROWS)[:, :3].mean())


def found(trainer, checkpoints):
    """Return what each training finds: kind → chosen, curves, scores; nothing in the second process."""
    results = {}
    for one in of_rows(trainer):
        one.fit(ROWS, validate, checkpoint=checkpoints / f"{one.name}.ckpt")
        if trainer is TWO and one.name != "student":
            weights = [part.double().sum().item() for part in one.generator.state_dict().values()]
            here, there = of_all(weights)
            assert here == there, one.name
        if is_first():
            chosen = [one.training.best_epoch, getattr(one, "critic_share", None)]
            results[one.name] = [chosen, one.training.curves, one.score(ROWS).tolist()]
    test = test_two_stage.features(test_two_stage.loyal()).test
    for one, chosen in of_features(trainer, checkpoints):
        if is_first():
            results[one.name] = [chosen, [], one.score(test.history, test.ages).tolist()]
    return results


def in_two_processes(folder):
    """Train as a process of two; the second one dies in the last training."""
    game.pays = lambda rows, learning, resting: learning == 24  # the generator by Gramians, the critic not
    with joined(TrainerParams.model_validate(TWO)):
        results = found(TWO, folder)
        with pytest.raises(RecganError, match="of the first process"):
            by_first(refuse)  # and not in the first one alone
        if is_first():
            (folder / "found.json").write_text(json.dumps(results))
        begin = game.RCGANGame.begin_epoch

        def begin_epoch(self, epoch):
            if epoch == 2 and not is_first():
                os.kill(os.getpid(), signal.SIGKILL)
            begin(self, epoch)

        game.RCGANGame.begin_epoch = begin_epoch
        next(of_rows(TWO)).fit(ROWS, validate, checkpoint=folder / "killed.ckpt")


def refuse():
    raise RecganError("of the first process")


@pytest.fixture
def own_signals():
    """Take back what torchrun's agent does with signals."""
    kept = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    for each, handler in kept.items():
        signal.signal(each, handler)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_processes_find_what_one_finds_and_leave_a_checkpoint_to_go_on_from(own_signals, tmp_path, capfd):
    config = LaunchConfig(
        1, 1, 2, run_id="two", rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
        max_restarts=0, start_method="fork", logs_specs=DefaultLogsSpecs(log_dir=str(tmp_path / "logs")),
    )  # fmt: skip
    # Forked, they need not import torch and Lightning again, which takes most of the time.
    with pytest.raises(ChildFailedError) as ended:
        elastic_launch(config, in_two_processes)(tmp_path)
    assert ended.value.failures[1].exitcode == -signal.SIGKILL, capfd.readouterr()
    together = json.loads((tmp_path / "found.json").read_text())
    alone = found(TRAINER, tmp_path / "alone")
    assert together.keys() == alone.keys() >= {"rcgan", "cfgan", "irgan", "sequence", "student", "two_stage"}
    for name, (chosen, curves, scores) in alone.items():
        ours = together[name]
        assert ours[0] == pytest.approx(chosen), name
        assert [row.keys() for row in ours[1]] == [row.keys() for row in curves], name
        for row, expected in zip(ours[1], curves, strict=True):
            for measure, value in expected.items():
                close = None if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)
                assert row[measure] == close, (name, measure)
        np.testing.assert_allclose(ours[2], scores, rtol=1e-3, atol=1e-4, err_msg=name)

    resumed = next(of_rows(TRAINER)).fit(ROWS, validate, checkpoint=tmp_path / "killed.ckpt")
    before = [row["g_loss"] for row in together["rcgan"][1][:2]]
    assert [row["g_loss"] for row in resumed.training.curves[:2]] == before  # those of two processes
    np.testing.assert_allclose(resumed.score(ROWS), together["rcgan"][2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"process 2 of 2 \(pid \d+\) was killed by SIGKILL \(as"),
        ("sys.exit('oh')", r"process 2 of 2 \(pid \d+\) failed, and the others were ended; what it said"),
    ],
)
def test_the_end_of_one_process_ends_all_and_is_said_in_one_line(
    second, message, own_signals, tmp_path, capfd
):
    script = tmp_path / "script.py"
    last = f"{second} if os.environ['RANK'] == '1' else time.sleep(60)"
    script.write_text(f"import os, signal, sys, time\n{last}\n")
    with pytest.raises(Unavailable, match=message) as ended:
        start(TrainerParams.model_validate(TWO), [str(script)])
    assert "\n" not in str(ended.value)
    assert capfd.readouterr().err == ("oh\n" if "oh" in second else "")


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


def test_within_a_larger_task_every_candidate_trains_on_one_device():
    section = test_student.settings({"trainer": TWO})
    assert on_one_device(section).teacher.trainer == TrainerParams.model_validate(TRAINER)
    inside = test_two_stage.section(generator=test_irgan.settings(trainer=TWO))
    assert on_one_device(inside).generator.trainer.model_dump() == {**TWO, **ONE_DEVICE}

"""What several windows and seeds say, against figures worked out by hand."""

import itertools

import numpy as np
import pytest
import yaml
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.evaluation.replications import Replication
from recgan.evaluation.significance import compare
from recgan.evaluation.spread import Repeated, compare_repeated, spread
from recgan.features.matrices import Features, HeldOut
from recgan.settings import Params, check_params
from tests.conftest import SHOP

USERS = np.array(["a", "b", "a", "c"], dtype=object)
"""Three users in two windows; a comes in both."""
OURS, OTHER = np.array([0.5, 0.2, 0.9, 0.4]), np.array([0.1, 0.3, 0.4, 0.0])


def test_a_user_of_two_windows_is_drawn_with_both():
    (found,) = compare_repeated({"ease": Repeated(USERS, OURS, OTHER)}, 40_000, 0.95, 3)
    assert found.difference == pytest.approx((0.4 - 0.1 + 0.5 + 0.4) / 4)
    assert (found.mean_challenger, found.mean_other) == pytest.approx((0.5, 0.2))
    # All 27 equally likely samples: the sum of the users' differences by their number of rows.
    totals, rows = {"a": 0.9, "b": -0.1, "c": 0.4}, {"a": 2, "b": 1, "c": 1}
    means = np.array(
        [
            sum(totals[user] for user in sample) / sum(rows[user] for user in sample)
            for sample in itertools.product("abc", repeat=3)
        ]
    )
    assert means.std() * 2.8016 == pytest.approx(found.detectable, rel=0.02)
    # Only b, b, b is below 0: 1 of 27; two-sided 2 / 27.
    assert (means <= 0).sum() == 1
    assert found.p_value == pytest.approx(2 / 27, rel=0.1)
    assert (found.low, found.high) == pytest.approx((-0.1, np.quantile(means, 0.975)), abs=0.02)


def test_with_one_window_it_is_the_plain_comparison():
    rng = np.random.default_rng(1)
    ids = np.array([f"u{row:03}" for row in range(60)], dtype=object)
    ours, one, other = rng.random((3, 60))
    plain = compare(ours, {"one": one, "other": other}, 500, 0.9, 4)
    assert (
        compare_repeated({"one": Repeated(ids, ours, one), "other": Repeated(ids, ours, other)}, 500, 0.9, 4)
        == plain
    )


def today():
    """Two users of two items each; `ours` finds a's and not b's, `other` neither."""
    held_out = csr_array(np.array([[1, 0], [0, 1]], dtype=np.float32))
    window = HeldOut(np.array(["a", "b"], dtype=object), csr_array((2, 2), dtype=np.float32), held_out)
    features = Features(
        train=held_out,
        train_validation=held_out,
        user_ids=window.user_ids,
        items=None,
        validation=None,
        test=window,
        summary={"cuts": {"test_start": "2025-03-01T00:00:00+00:00"}},
    )
    miss = np.array([[-1], [-1]], dtype=np.int32)
    return {"ours": np.array([[0], [-1]], dtype=np.int32), "other": miss}, features


def replication(window, candidate, seed, ndcg, ablated=False, skipped=None):
    ids = np.array(["a", "c"] if window else ["a", "b"], dtype=object)
    start = f"2025-0{3 - window}-01T00:00:00+00:00"
    some = slice(0, 0 if skipped else 2)
    return Replication(
        *(window, start, "", candidate, seed, ablated, "f", skipped),
        user_ids=ids[some],
        ndcg=np.array(ndcg, dtype=float)[some],
    )


@pytest.fixture
def params():
    content = yaml.safe_load(SHOP.read_text())
    content["evaluate"] |= {"windows": 2, "seeds": 2, "ablation": True, "bootstrap_samples": 2000}
    return check_params(content, SHOP).evaluate


def test_means_and_spreads_are_those_of_windows_and_seeds(params):
    rankings, features = today()
    found = spread(
        rankings,
        features,
        {"ours": 42, "other": None},
        [
            replication(0, "ours", 43, [0.4, 0.2]),  # today, beside the main one's [1, 0]
            replication(1, "ours", 42, [0.2, 0.4]),
            replication(1, "ours", 43, [0.6, 0.4]),
            replication(1, "other", None, [0.1, 0.3]),
            replication(0, "ours", 42, [0.5, 0], ablated=True),
            replication(0, "ours", 43, [0, 0], skipped="no memory", ablated=True),
        ],
        params,
    )
    ours, without, other = found["candidates"]
    assert [(one["window"], one["seed"], one["ndcg"]) for one in ours["figures"]] == [
        (0, 42, pytest.approx(0.5)),
        (0, 43, pytest.approx(0.3)),
        (1, 42, pytest.approx(0.3)),
        (1, 43, pytest.approx(0.5)),
    ]
    assert ours["mean"] == pytest.approx(0.4)
    assert ours["sd_windows"] == pytest.approx(0)
    assert ours["sd_seeds"] == pytest.approx(0.2 / np.sqrt(2))
    assert (other["mean"], other["sd_windows"]) == pytest.approx((0.1, 0.2 / np.sqrt(2)))
    assert other["sd_seeds"] is None
    assert without["ablated"]
    assert without["figures"] == [{"window": 0, "seed": 42, "ndcg": pytest.approx(0.25)}]
    assert [one["users"] for one in found["windows"]] == [2, 2]
    # Rows: today a .7 - 0, b .1 - 0; the window before a .4 - .1, c .4 - .3.
    (pooled,) = found["pooled"]
    assert pooled["name"] == "other"
    assert pooled["difference"] == pytest.approx((0.7 + 0.1 + 0.3 + 0.1) / 4)
    (ablation,) = found["ablation"]["today"]
    assert (ablation["name"], ablation["difference"]) == ("ours", pytest.approx((0.2 + 0.1) / 2))
    assert [one["skipped"] for one in found["skipped"]] == ["no memory"]


def test_where_nothing_was_asked_for_there_is_nothing(params):
    assert spread(*today(), {"ours": 42, "other": None}, [], params) is None


@pytest.mark.parametrize("kind", ["random", "leave-last-out"])
def test_earlier_windows_need_a_split_in_time(kind):
    content = yaml.safe_load(SHOP.read_text())
    content["evaluate"]["windows"] = 2
    Params.model_validate(content)
    shares = {"validation_share": 0.1, "test_share": 0.2, "seed": 0} if kind == "random" else {}
    content["features"]["split"] = {"kind": kind, **shares}
    with pytest.raises(RecganError, match=rf"evaluate\.windows is 2, but a split of kind {kind} has no"):
        check_params(content, SHOP)

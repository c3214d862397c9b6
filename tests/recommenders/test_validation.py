"""Looks at a training: a fixed sample of the validation users judges them, and all users the end."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.features.held_out import HeldOut, Outside, beside
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.ranking import user_ndcg, window_ndcg
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.validation import Validation, at_looks
from tests.recommenders import test_cfgan, test_rcgan
from tests.recommenders.data import histories

USERS = 60


class Positions:
    """Scores that tell a history: later items first, and what it holds even more so."""

    def score(self, user_items, ages=None):
        weighed = user_items if ages is None else ages
        return (weighed.toarray() + np.linspace(0, 0.5, user_items.shape[1])).astype(np.float32)


def window():
    """Every third user came to nothing, every fourth to something outside the vocabulary."""
    history, came = histories(USERS, seed=1), histories(USERS, seed=2).toarray()
    came[::3] = 0
    outside = np.zeros((USERS, 2), np.float32)
    outside[1::4, 0] = 1
    ids = np.array([f"user {row}" for row in range(USERS)], dtype=object)
    days = np.random.default_rng(0).random(history.nnz).astype(np.float32)
    beyond = Outside(np.array(["x", "y"], dtype=object), csr_array(outside))
    return HeldOut(ids, history, csr_array(came), beside(history, days), outside=beyond)


def whole(exclude_seen=False):
    return Validation(window(), 3, exclude_seen)


def test_a_sample_is_judged_as_its_users_are_among_all():
    sample = whole().sample(20)
    ids, ndcg = user_ndcg(Positions(), whole().window, 3, False)
    of = dict(zip(ids, ndcg, strict=True))
    assert len(set(sample.window.user_ids)) == 20
    assert sample(Positions()) == pytest.approx(np.mean([of[one] for one in sample.window.user_ids]))
    assert list(sample.window.user_ids) != list(ids[:20])


def test_the_same_users_are_drawn_whatever_the_order_and_mostly_when_some_are_new():
    sample = whole().sample(20)
    order = np.random.default_rng(1).permutation(USERS)
    shuffled = replace(whole(), window=whole().window.rows(order)).sample(20)
    assert set(shuffled.window.user_ids) == set(sample.window.user_ids)
    assert shuffled(Positions()) == pytest.approx(sample(Positions()))
    fewer = replace(whole(), window=whole().window.rows(np.arange(USERS - 10))).sample(20)
    assert len(set(fewer.window.user_ids) & set(sample.window.user_ids)) >= 15


def test_a_window_of_no_more_users_is_judged_whole():
    validate = whole()
    came = len(user_ndcg(Positions(), validate.window, 3, False)[0])
    assert came < USERS
    assert validate.sample(came) is at_looks(validate, None) is at_looks(validate, USERS) is validate
    assert validate.sample(came - 1) is not validate


def test_what_is_no_window_judges_every_look():
    def judge(recommender):
        return 1.0

    assert at_looks(judge, 5) is judge


def rcgan(**changes):
    return RCGAN(test_rcgan.settings(**changes))


def test_shares_scored_in_one_pass_are_those_scored_one_by_one():
    fitted = rcgan().fit(histories(USERS, seed=1))
    held = window()
    shares = (0, 0.3, 1.7, 0)
    for share, together in zip(shares, fitted.score_each(shares, held.history, held.ages), strict=True):
        fitted.critic_share = share
        np.testing.assert_allclose(together, fitted.score(held.history, held.ages), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_a_training_whose_shares_are_judged_in_one_pass_is_the_one_judged_one_by_one(exclude_seen):
    """To the bit, where the shares are powers of two."""
    judge = whole(exclude_seen)
    changes = {"critic_shares": [0, 0.25, 2], "half_life_days": [None, 0.2], "epochs": 6}
    together = rcgan(**changes).fit(histories(USERS, seed=1), judge)
    apart = rcgan(**changes).fit(histories(USERS, seed=1), lambda recommender: judge(recommender))
    assert together.training == apart.training
    chosen = [(one.critic_share, one.half_life_days) for one in (together, apart)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("kind", ["rcgan", "cfgan"])
def test_looks_are_judged_by_the_sample_and_the_end_by_all(kind):
    changes = {"look_users": 9, "evaluate_every": 1}
    if kind == "rcgan":
        recommender = rcgan(**changes, critic_shares=[0, 1])
    else:
        recommender = CFGAN(test_cfgan.settings(view="user", **changes))
    validate = whole()
    training = recommender.fit(histories(USERS, seed=1), validate).training
    assert training.validation_ndcg == validate(recommender) != validate.sample(9)(recommender)
    looks = [row["validation_ndcg"] for row in training.curves]
    assert training.best_epoch == 1 + int(np.argmax(looks))
    if kind == "rcgan":  # all users choose its share anew
        found = {}
        for recommender.critic_share in (0, 1):
            found[recommender.critic_share] = window_ndcg(recommender, window(), 3, False)
        assert training.validation_ndcg == pytest.approx(max(found.values()))
    else:
        assert max(looks) == pytest.approx(validate.sample(9)(recommender))

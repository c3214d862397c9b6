"""The sequence model: what it reads, what it may not see, where it starts, what order alone can tell."""

import json
import logging

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.features.matrices import beside
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import recommend
from recgan.recommenders.sequence.game import SequenceGame
from recgan.recommenders.sequence.network import Encoder
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.sequence.settings import SequenceParams
from recgan.recommenders.sequence.start import first_vectors, ppmi
from recgan.recommenders.sequence.steps import GAPS, Sequences
from tests.adversarial.laws import TRAINER

CPU = torch.device("cpu")


def settings(**changes):
    common = {
        "recommender": "sequence",
        "seed": 1,
        "trainer": TRAINER,
        "width": 32,
        "layers": 1,
        "max_length": 6,
        "dropout": 0.1,
        "ahead": 1,
        "tied": False,
        "temperature": 0.1,
        "negatives": 20,
        "learning_rate": 0.01,
        "batch_size": 16,
        "alarms": {
            "grace": 1,
            "gradient_growth": None,
            "effective_items": None,
            "effective_rank": None,
        },
        "epochs": 3,
        "evaluate_every": 1,
        "look_users": None,
        "patience": None,
        "refit": False,
        "warm_start": None,
    }
    return SequenceParams.model_validate(common | changes)


def log(users=40, items=20, seed=0):
    """Histories of some items, each at a time of its own; the last two users have one item and none."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((users, items)) < 0.3).astype(np.float32)
    dense[-2:] = 0
    dense[-2, 3] = 1
    rows = csr_array(dense)
    return rows, rng.permutation(rows.nnz).astype(np.float32)


def ages_of(rows, times):
    return beside(rows, times.max() - times)


def fitted(rows, times, **changes):
    return Sequence(settings(**changes), lambda _: times).fit(rows)


# --- steps ------------------------------------------------------------------------------------------------


def test_a_history_is_read_from_its_oldest_item_the_newest_ones_alone():
    rows = csr_array(np.array([[1, 1, 1, 1], [0, 0, 1, 0], [4, 0, 0, 0.5]], dtype=np.float32))
    times = np.array([5, 2, 9, 1, 3, 7, 7 + 1 / 20])
    steps = Sequences(rows, times, 3, CPU).batch(torch.tensor([2, 0, 1]))
    assert steps.lengths.tolist() == [2, 3, 1]
    read = [items[:length].tolist() for items, length in zip(steps.items, steps.lengths, strict=True)]
    assert read == [[0, 3], [1, 0, 2], [2]]
    assert steps.there().sum(dim=1).tolist() == [2, 3, 1]
    # An hour and more is the second bucket; log2(1 + 24 · 3 days) = 6.2 and 6.6 of 4 days the seventh.
    assert steps.gaps[:, 0].tolist() == [GAPS - 1] * 3
    assert (steps.gaps[0, 1], steps.gaps[1, 1:].tolist()) == (1, [6, 6])
    assert steps.strengths[0].tolist()[:2] == [12, 6]  # 4 is four factors of √2 above 1, .5 two below


def test_what_is_equally_old_is_in_the_order_of_positions_and_shuffled_in_training():
    rows = csr_array(np.ones((1, 30), dtype=np.float32))
    sequences = Sequences(rows, np.repeat([1.0, 0.0], 15), 30, CPU)
    one = torch.tensor([0])
    assert sequences.batch(one).items[0].tolist() == [*range(15, 30), *range(15)]
    sequences.shuffle_ties(torch.Generator().manual_seed(0))
    shuffled = sequences.batch(one).items[0].tolist()
    assert shuffled != [*range(15, 30), *range(15)]
    assert (sorted(shuffled[:15]), sorted(shuffled[15:])) == ([*range(15, 30)], [*range(15)])


# --- where it starts --------------------------------------------------------------------------------------


def test_ppmi_of_a_small_log_by_hand():
    """Histories a b c and a b: a, b are 1 apart twice, b, c once, a, c 2 apart once."""
    P = ppmi(np.array([0, 1, 2, 0, 1]), np.array([0, 0, 0, 1, 1]), 4).toarray()
    C = np.array([[0, 2, 0.5], [2, 0, 1], [0.5, 1, 0]])
    f, T = np.array([2.5, 3, 1.5]), 7
    for i, j in [(0, 1), (1, 0), (0, 2), (2, 1)]:
        assert P[i, j] == pytest.approx(np.log(C[i, j] * T / (f[i] * f[j] ** 0.75 * T**0.25)) + 2)
    assert P[0, 1] != P[1, 0]
    assert (P.diagonal() == 0).all()
    assert (P[3] == 0).all()


def test_pairs_reach_three_steps_and_no_other_history():
    P = ppmi(np.arange(6), np.array([0, 0, 0, 0, 0, 1]), 6)
    assert {(i, j) for i, j in zip(*P.nonzero(), strict=True) if i < j} == {
        (i, j) for i in range(5) for j in range(i + 1, 5) if j - i <= 3
    }


def test_the_first_vectors_are_the_singular_vectors_of_mean_length_1():
    P = csr_array(np.diag([4.0, 1.0, 0.0]) @ np.ones((3, 3)))
    E = first_vectors(P, 8, seed=0)
    assert E.shape == (3, 8)
    assert np.linalg.norm(E, axis=1).mean() == pytest.approx(1, abs=0.03)
    assert abs(E[0] @ E[1]) / np.linalg.norm(E[0]) / np.linalg.norm(E[1]) > 0.99
    assert np.linalg.norm(E[2]) < 0.1  # of nothing, noise alone
    np.testing.assert_array_equal(E, first_vectors(P, 8, seed=0))


# --- what it may see --------------------------------------------------------------------------------------


def test_a_later_item_changes_no_earlier_step():
    """Of two layers with biases by distance that are not 0."""
    torch.manual_seed(0)
    network = Encoder(settings(layers=2), torch.randn(20, 32)).eval()
    for layer in network.layers:
        torch.nn.init.normal_(layer.distance)
    rows = csr_array(np.ones((1, 6), dtype=np.float32))
    steps = Sequences(rows, np.arange(6.0), 6, CPU).batch(torch.tensor([0]))
    before = network(steps)
    changed = network(steps._replace(items=torch.tensor([[0, 1, 2, 3, 9, 5]])))
    torch.testing.assert_close(changed[:, :4], before[:, :4])
    assert (changed[:, 4:] - before[:, 4:]).abs().amax(dim=2).min() > 1e-3


@pytest.mark.parametrize("ahead", [1, 3])
def test_the_loss_by_hand(ahead):
    """Of all that is drawn, the history says nothing; what follows later counts half, then a quarter."""
    rows, times = log()
    game = SequenceGame(settings(dropout=0, negatives=999, ahead=ahead), rows, times, CPU)
    game.begin_epoch(0)
    game.optimizers()
    batch = game.sequences.batch(torch.tensor([0, 1, 2]))
    scores = game.generator(batch.before_last()) @ game.generator.aims().T
    by_hand = []
    for row in range(3):
        own = batch.items[row, : batch.lengths[row]].tolist()
        others = [item for item in range(20) if item not in own]
        for step in range(len(own) - 1):
            told, weights = [], [1, 0.5, 0.25][:ahead][: len(own) - 1 - step]
            for item in own[step + 1 :][:ahead]:
                positive = scores[row, step, item]
                candidates = torch.cat([positive[None], scores[row, step, others]])
                told.append(candidates.logsumexp(dim=0) - positive)
            mean = sum(w * one for w, one in zip(weights, told, strict=True)) / sum(weights)
            by_hand.append(mean)
    loss = game.loss("generator", batch)
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in game.generator.parameters())


def test_every_history_of_two_items_is_in_one_batch_of_an_epoch_and_the_rate_falls():
    rows, times = log()
    game = SequenceGame(settings(), rows, times, CPU)
    (optimizer,) = game.optimizers()
    rates, users = [], 0
    for epoch in range(3):
        game.begin_epoch(epoch)
        for batch in game.batches("generator"):
            rates.append(optimizer.param_groups[0]["lr"])
            users += len(batch.lengths)
    assert users == 3 * (np.diff(rows.indptr) > 1).sum()
    expected = [0.01 * (1 + np.cos(np.pi * step / len(rates))) / 2 for step in range(len(rates))]
    assert len(rates) == 3 * game.steps("generator")
    assert rates == pytest.approx(expected)


# --- as a recommender -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    rows, times = log()
    return fitted(rows, times), rows, ages_of(rows, times)


def test_a_batch_equals_its_rows_and_a_dense_product_of_its_own(trained):
    recommender, rows, ages = trained
    together = recommender.score(rows, ages)
    assert together.dtype == np.float32
    alone = [recommender.score(csr_array(rows[[row]]), csr_array(ages[[row]])) for row in range(40)]
    np.testing.assert_allclose(together, np.vstack(alone), rtol=1e-4, atol=1e-4)
    assert np.abs(together).max() <= 1 / 0.1 + 1e-4  # cosines by the temperature
    product = recommender.vectors(rows, ages) @ recommender.item_vectors().T
    some = np.diff(rows.indptr) > 0  # popularity answers the others
    np.testing.assert_allclose(product[some], together[some], rtol=1e-4, atol=1e-4)


def test_ages_are_the_order(trained, caplog):
    recommender, rows, ages = trained
    later = beside(rows, ages.data + 3)
    np.testing.assert_allclose(recommender.score(rows, later), recommender.score(rows, ages), atol=1e-5)
    turned = beside(rows, ages.data.max() - ages.data)
    assert np.abs(recommender.score(rows, turned) - recommender.score(rows, ages)).max() > 0.01
    with caplog.at_level(logging.INFO):
        without = recommender.score(rows)
        recommender.score(rows)
    assert caplog.text.count("histories without ages have no order") == 1
    np.testing.assert_allclose(without, recommender.score(rows, beside(rows, 0 * ages.data)), atol=1e-5)


def test_an_empty_history_gets_the_popular_items(trained):
    recommender, rows, _ = trained
    found, _ = recommend(recommender, csr_array((1, 20), dtype=np.float32), 3)
    assert rows.sum(axis=0)[found[0]].tolist() == np.sort(rows.sum(axis=0))[::-1][:3].tolist()
    assert recommender.score(csr_array((0, 20), dtype=np.float32)).shape == (0, 20)


@pytest.mark.parametrize("tied", [True, False])
def test_files_give_the_same_scores(tmp_path, tied):
    rows, times = log()
    recommender = fitted(rows, times, tied=tied, epochs=1, layers=2)
    recommender.save(tmp_path)
    read = load_recommender(tmp_path)
    ages = ages_of(rows, times)
    np.testing.assert_array_equal(read.score(rows, ages), recommender.score(rows, ages))
    assert read.parameters == recommender.parameters


def test_a_package_of_before_a_setting_came_scores_as_it_did(tmp_path):
    rows, times = log()
    recommender = fitted(rows, times, epochs=1)
    recommender.save(tmp_path)
    about = json.loads((tmp_path / "recommender.json").read_text())
    for name in ("ahead", "warm_start", "look_users"):
        del about["settings"][name]
    (tmp_path / "recommender.json").write_text(json.dumps(about))
    loaded = load_recommender(tmp_path)
    assert loaded.settings.ahead == 1
    np.testing.assert_array_equal(loaded.score(rows), recommender.score(rows))


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    rows, times = log()
    ages = ages_of(rows, times)
    one, again, other = (fitted(rows, times, seed=seed).score(rows, ages) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01


def test_a_killed_training_ends_as_the_uninterrupted_one(tmp_path):
    rows, times = log()
    ages = ages_of(rows, times)

    def run(dies_at=None, checkpoint=None):
        looks = []

        def validate(recommender):
            looks.append(1)
            if len(looks) == dies_at:
                raise KeyboardInterrupt
            return float(recommender.score(rows, ages).std())

        recommender = Sequence(settings(epochs=4), lambda _: times)
        return recommender.fit(rows, validate, checkpoint=checkpoint)

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(dies_at=3, checkpoint=tmp_path / "a.ckpt")
    resumed = run(checkpoint=tmp_path / "a.ckpt")
    assert [row["g_loss"] for row in resumed.training.curves] == [
        row["g_loss"] for row in whole.training.curves
    ]
    np.testing.assert_array_equal(resumed.score(rows, ages), whole.score(rows, ages))


def test_without_an_order_it_is_refused_and_told_why():
    rows, _ = log()
    with pytest.raises(RecganError, match=r"what came after what.*null_timestamp.*or remove this candidate"):
        Sequence(settings(), lambda _: None).fit(rows)
    single = csr_array(np.eye(20, dtype=np.float32))
    with pytest.raises(RecganError, match="none of 20 histories has two items"):
        Sequence(settings(), lambda _: np.zeros(20, np.float32)).fit(single)


def test_order_decides_what_neither_popularity_nor_ease_can_tell():
    """After a then b comes c, after b then a comes d; all four items are equally popular and together."""
    n = 60
    dense = np.zeros((2 * n, 6), dtype=np.float32)
    dense[:, :2] = 1
    dense[:n, 2] = dense[n:, 3] = 1
    rows = csr_array(dense)
    times = np.tile([0.0, 1.0, 2.0], 2 * n).astype(np.float32).reshape(-1, 3)
    times[n:, :2] = [1.0, 0.0]
    recommender = fitted(rows, times.ravel(), epochs=20, dropout=0)
    asked = csr_array(np.array([[1, 1, 0, 0, 0, 0]] * 2, dtype=np.float32))
    ages = beside(asked, np.array([1, 0, 0, 1], dtype=np.float32))
    found, _ = recommend(recommender, asked, 1, ages=ages)
    assert found[:, 0].tolist() == [2, 3]
    for other in (Popularity(), EASE(1, half_life_days=1)):
        scores = other.fit(rows).score(asked, ages)
        np.testing.assert_allclose(scores[:, 2], scores[:, 3], atol=1e-6)

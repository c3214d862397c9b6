"""RC-GAN: what its players learn, what they may not touch, and what it answers."""

import json

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recgan.adversarial.sparse import SparseRows
from recgan.core.errors import RecganError
from recgan.recommenders.ages import aged
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.rcgan import game as rcgan_game
from recgan.recommenders.rcgan.game import RCGANGame, column, normalised, user_weights
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from tests.adversarial.laws import (
    TRAINER,
    assert_a_turn_leaves_the_opponent_untouched,
    assert_it_teaches_the_generator_alone,
)
from tests.recommenders.data import checkerboard, histories

ALARMS = {"grace": 1, "gradient_growth": None, "effective_items": None, "effective_rank": None}
SIDE = {"hidden": [24], "dropout": 0.2, "learning_rate": 0.01, "weight_decay": 0.1, "batch_size": 8}


def settings(**changes):
    return RCGANParams.model_validate(
        {
            "recommender": "rcgan",
            "seed": 1,
            "trainer": TRAINER,
            "generator": SIDE,
            "critic": {**SIDE, "hidden": [12]},
            "unobserved_weight": 0.4,
            "user_weight_power": 0,
            "adversarial": 1,
            "gradient_penalty": 2,
            "critic_shares": [0.5],
            "fold_in_l2": 0.3,
            "half_life_days": [None],
            "alarms": ALARMS,
            "epochs": 4,
            "evaluate_every": 2,
            "look_users": None,
            "patience": None,
            "refit": False,
            "warm_start": None,
            **changes,
        }
    )


def confidences(users=20, items=14, seed=0):
    graded = histories(users, items, seed)
    graded.data *= np.random.default_rng(seed).uniform(0.3, 4, graded.nnz).astype(np.float32)
    return graded


def game(rows=None, **changes):
    built = RCGANGame(settings(**changes), histories() if rows is None else rows, torch.device("cpu"))
    built.begin_epoch(0)
    rng = torch.Generator().manual_seed(3)
    torch.nn.init.normal_(built.discriminator.output.weight, std=0.3, generator=rng)  # no longer at zero
    return built


def whole(view):
    """Return all rows of a view as one batch, nothing dropped."""
    (batch,) = view.rows.batches(torch.arange(view.rows.shape[0]), view.rows.shape[0])
    return batch


def residual_of(played):
    """Return the critic's d for all users (users, items)."""
    with torch.no_grad():
        return played.discriminator(whole(played.items)).T.contiguous()


def test_the_adversarial_loss_alone_reaches_every_generator_weight_and_no_critic_weight():
    played = game()
    residual = residual_of(played)
    assert_it_teaches_the_generator_alone(
        played.generator,
        played.discriminator,
        lambda: played.generator_losses(whole(played.users), residual)[0],
    )


def test_a_turn_leaves_the_opponent_untouched():
    assert_a_turn_leaves_the_opponent_untouched(game())


@pytest.mark.parametrize(("graded", "power"), [(False, 0), (True, 0), (True, 0.5)])
def test_losses_equal_the_formula_written_out(graded, power):
    """Both losses on dense rows, and with them their gradients."""
    rows = confidences() if graded else histories()
    played = game(rows, user_weight_power=power)
    c = torch.as_tensor(rows.toarray())  # (users, items)
    x, w = (c > 0).float(), 0.4 + 0.6 * c
    r = x.sum(dim=1).clamp(min=1) ** -power
    r /= r.mean()

    def perceptron(network, condition):
        read = condition / condition.norm(dim=1, keepdim=True).clamp(min=1)
        hidden = torch.tanh(read @ network.first + network.bias)
        return hidden @ network.output.weight.T + network.output.bias

    y, d = perceptron(played.generator, c), perceptron(played.discriminator, c.T).T
    D = lambda judged: (w * d * judged).sum(dim=1)  # noqa: E731

    expected = (D(y.detach()) - D(x)).sum() / 14 + (w * d.square()).sum() / 14
    critic = played.critic_loss(whole(played.items), y.detach().T.contiguous())
    torch.testing.assert_close(critic, expected)
    own = list(played.discriminator.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(critic, own),
        torch.autograd.grad(expected, own, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)

    expected_losses = -(r * D(y)).mean(), (r * (w * (y - x).square()).sum(dim=1)).mean() / 2
    losses = played.generator_losses(whole(played.users), d.detach().contiguous())
    torch.testing.assert_close(losses, expected_losses)
    own = list(played.generator.parameters())
    for ours, theirs in zip(losses, expected_losses, strict=True):
        for a, b in zip(
            torch.autograd.grad(ours, own, retain_graph=True),
            torch.autograd.grad(theirs, own, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("graded", "power"), [(False, 0), (True, 0.5)])
def test_losses_by_gramians_equal_those_written_out(graded, power):
    """With their gradients, for two hidden layers as well, and with what an epoch measures."""
    deep = {**SIDE, "hidden": [10, 6]}
    played = game(confidences() if graded else histories(), user_weight_power=power, generator=deep)
    for player, view in (("discriminator", played.items), ("generator", played.users)):
        learning, resting, _ = played._sides(player)
        played.begin_turn(player)
        batch = whole(view)
        fixed = column(resting, batch.rows, played._hidden)
        if player == "discriminator":
            both = (played.critic_loss(batch, fixed),), (played.critic_loss_by_gramians(batch),)
        else:
            both = played.generator_losses(batch, fixed), played.generator_losses_by_gramians(batch)
        for losses in zip(*both, strict=True):
            torch.testing.assert_close(*losses)
            own = list(learning.parameters())
            gradients = (torch.autograd.grad(one, own, retain_graph=True) for one in losses)
            for a, b in zip(*gradients, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_training_with_batches_above_the_hidden_layers_takes_gramians_to_the_same_weights(monkeypatch):
    taken = []
    forms = rcgan_game.forms
    monkeypatch.setattr(rcgan_game, "forms", lambda *given: taken.append(given) or forms(*given))
    side = {"hidden": [6], "dropout": 0.2, "learning_rate": 0.01, "weight_decay": 0.1, "batch_size": 9}
    fitted = [RCGAN(settings(generator=side, critic=side)).fit(histories())]
    assert taken
    monkeypatch.setattr(rcgan_game, "pays", lambda *sizes: False)
    fitted.append(RCGAN(settings(generator=side, critic=side)).fit(histories()))
    np.testing.assert_allclose(*(one.score(histories()) for one in fitted), rtol=1e-3, atol=1e-5)
    for ours, theirs in zip(*(one.training.curves for one in fitted), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_a_user_weighs_a_power_of_the_number_of_items():
    of = csr_array(np.array([[1, 0, 0, 0], [3, 3, 3, 3], [0, 0, 0, 0]], dtype=np.float32))
    torch.testing.assert_close(user_weights(of, 0.5), torch.tensor([1.2, 0.6, 1.2]))


def test_users_of_one_size_weigh_alike():
    """The same loss as without weights; without a power there is no factor at all."""
    rows = csr_array(np.eye(6, 9, dtype=np.float32) + np.eye(6, 9, k=2, dtype=np.float32))
    plain, weighted = game(rows), game(rows, user_weight_power=0.7)
    assert plain.user_weights is None
    residual = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        plain.generator_losses(whole(plain.users), residual),
        weighted.generator_losses(whole(weighted.users), residual),
    )


def test_losses_by_hand():
    """One user, three items, the second held; y = (.5, .25, 0), d = (1, -1, 2), η = .4, γ = 2.

    D(y) = .4·1·.5 + 1·(-1)·.25 + .4·2·0 = -.05;  D(x) = -1;  ‖d‖²_w = .4 + 1 + 1.6 = 3;
    critic, over three rows: (-.05 + 1 + 3) / 3;  ½ ‖y - x‖²_w = (.4·.25 + 1·.5625 + 0) / 2.
    """
    played = game(csr_array(np.array([[0, 1, 0]], dtype=np.float32)))
    y, d = torch.tensor([[0.5, 0.25, 0]]), torch.tensor([[1.0, -1, 2]])
    for network, row in ((played.generator, y[0]), (played.discriminator, d.T)):
        torch.nn.init.zeros_(network.output.weight)
        if network is played.generator:
            network.output.bias.data.copy_(row)
    played.discriminator.forward = lambda batch: d.T[batch.rows].clone().requires_grad_()
    critic = played.critic_loss(whole(played.items), y.T.contiguous())
    assert critic.item() == pytest.approx(3.95 / 3)
    adversarial, reconstruction = played.generator_losses(whole(played.users), d)
    assert adversarial.item() == pytest.approx(0.05)
    assert reconstruction.item() == pytest.approx(0.33125)
    measured = {name: total.item() for name, total in played.measured().items()}
    assert measured == pytest.approx({"d_fake": -0.05 / 3, "d_real": -1 / 3})


def test_the_last_term_is_the_gradient_penalty():
    """∇_y D = w∘d, so γ/2 ‖d‖²_w = γ/2 ‖∇_y D‖² in the norm of 1/w: what autograd finds is the same."""
    played = game()
    residual = residual_of(played)
    w = 0.4 + 0.6 * torch.as_tensor(histories().toarray())
    y = torch.rand(20, 14, generator=torch.Generator().manual_seed(0)).requires_grad_()
    batch = whole(played.users)
    played.generator.forward = lambda _: y
    adversarial, _ = played.generator_losses(batch, residual)
    (gradient,) = torch.autograd.grad(-20 * adversarial, y)
    torch.testing.assert_close(gradient, w * residual)

    without, with_it = (
        RCGANGame(settings(gradient_penalty=penalty), histories(), torch.device("cpu"))
        for penalty in (1e-9, 2)
    )
    losses = []
    for other in (without, with_it):
        other.begin_epoch(0)
        other.discriminator.load_state_dict(played.discriminator.state_dict())
        losses.append(other.critic_loss(whole(other.items), y.detach().T.contiguous()).item())
    penalty = (gradient.square() / w).sum().item() / 14
    assert losses[1] - losses[0] == pytest.approx(penalty, rel=1e-4)


def test_a_free_critic_ends_at_what_the_generator_leaves_unexplained():
    """γ d = x - y where every entry of d may be chosen."""
    played = game()
    x = torch.as_tensor(histories().toarray()).T
    y = torch.rand(14, 20, generator=torch.Generator().manual_seed(0))
    d = torch.nn.Parameter(torch.zeros(14, 20))
    played.discriminator.forward = lambda batch: d[batch.rows]
    descent = torch.optim.SGD([d], lr=5)
    for _ in range(200):
        descent.zero_grad()
        played.critic_loss(whole(played.items), y).backward()
        descent.step()
    torch.testing.assert_close(2 * d.detach(), x - y, rtol=1e-3, atol=1e-3)


def test_the_critic_begins_without_an_opinion():
    fresh = RCGANGame(settings(), histories(), torch.device("cpu"))
    assert (residual_of(fresh) == 0).all()


def test_the_columns_asked_for_are_those_of_the_whole_output():
    played = game()
    with torch.no_grad():
        scores = played.generator(whole(played.users))  # (users, items)
    asked = torch.tensor([5, 0, 13])
    hidden = played.users.hidden(played.generator, 0, played.rng)
    torch.testing.assert_close(column(played.generator, asked, hidden), scores.T[asked])


def test_dropout_hides_entries_and_keeps_their_mean():
    rows = csr_array(np.ones((200, 50), dtype=np.float32))
    view = RCGANGame(settings(), rows, torch.device("cpu")).users
    rng = torch.Generator().manual_seed(0)
    (batch,) = view.rows.batches(torch.arange(200), 200, 0.3, rng)
    values = batch.by_row.values * np.sqrt(50)  # each row's norm
    assert (values == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert values.mean().item() == pytest.approx(1, abs=0.02)
    columns = torch.zeros(50, 200)
    for position in range(50):
        low = batch.by_column.offsets[position]
        part = slice(low, low + 200)
        columns[position, batch.by_column.indices[part]] = batch.by_column.values[part]
    torch.testing.assert_close(columns.T.reshape(-1), batch.by_row.values)  # one draw, read both ways


def test_conditions_of_norm_above_one_are_divided_by_it():
    rows = csr_array(np.array([[3, 0, 4], [0.5, 0, 0], [0, 0, 0]], dtype=np.float32))
    assert normalised(rows).toarray().tolist() == pytest.approx(
        np.array([[0.6, 0, 0.8], [0.5, 0, 0], [0, 0, 0]])
    )


@pytest.fixture(scope="module")
def of_the_board():
    side = {"hidden": [16], "dropout": 0.3, "learning_rate": 0.01, "weight_decay": 0.1, "batch_size": 8}
    return RCGAN(settings(generator=side, critic=side, epochs=60)).fit(checkerboard())


@pytest.mark.parametrize("share", [0, 0.5, 2])
def test_checkerboard(of_the_board, share):
    ranking, _ = recommend(_share(of_the_board, share), checkerboard(), 10)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(30))


@pytest.mark.parametrize("share", [0, 0.5, 2])
def test_a_new_user_gets_what_the_like_minded_like(of_the_board, share):
    new = csr_array((np.arange(30) % 2 == 0).astype(np.float32)[None] * (np.arange(30) < 20))
    ranking, _ = recommend(_share(of_the_board, share), new, 5)
    assert sorted(ranking[0]) == [20, 22, 24, 26, 28]


def test_scores_of_a_batch_are_those_of_its_rows_and_finite():
    recommender = RCGAN(settings()).fit(histories())
    nothing = np.zeros((1, 14), dtype=np.float32)
    rows = csr_array(np.vstack([histories(seed=1).toarray(), nothing, histories().toarray()]))
    scores = recommender.score(rows)
    assert scores.shape == rows.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    alone = np.vstack([recommender.score(rows[[row]]) for row in range(rows.shape[0])])
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-5)
    assert recommender.score(csr_array((0, 14), dtype=np.float32)).shape == (0, 14)


@pytest.mark.parametrize("graded", [False, True])
def test_the_residual_of_any_history_is_the_weighted_ridge_solution(graded):
    """Against NumPy's least squares on the stacked system, in float64."""
    recommender = RCGAN(settings()).fit(confidences() if graded else histories())
    new = confidences(users=8, seed=3) if graded else histories(users=8, seed=3)
    y = RCGAN.score(_share(recommender, 0), new)
    H = recommender._hidden.astype(np.float64)
    for history, scores, found in zip(new.toarray(), y, residual(recommender, new), strict=True):
        assert history.any()
        roots = np.sqrt(0.4 + 0.6 * history)
        stacked = np.vstack([roots[:, None] * H, np.sqrt(0.3) * np.eye(12)])
        target = np.concatenate([roots * ((history > 0) - scores) / 2, np.zeros(12)])
        weights, *_ = np.linalg.lstsq(stacked, target)
        np.testing.assert_allclose(found, H @ weights, rtol=1e-3, atol=1e-4)
    nothing = csr_array((1, 14), dtype=np.float32)
    assert (residual(recommender, nothing) == 0).all()


def residual(recommender, rows):
    """The critic's d, for histories of any kind."""
    hidden = recommender.generator.last_hidden(SparseRows(normalised(rows)).all()).numpy()
    y = RCGAN.score(_share(recommender, 0), rows)
    return recommender.fold_in(rows, hidden, y) @ recommender._hidden.T


def _share(recommender, share):
    other = RCGAN(recommender.settings, share)
    other._take(recommender.generator, recommender._hidden)
    return other


def test_the_served_score_is_the_generators_and_a_share_of_the_residual():
    recommender = RCGAN(settings(critic_shares=[0.7])).fit(histories())
    new = histories(seed=2)
    read = torch.as_tensor(normalised(new).toarray())
    g = recommender.generator
    y = (torch.tanh(read @ g.first + g.bias) @ g.output.weight.T + g.output.bias).numpy()
    np.testing.assert_allclose(
        recommender.score(new), y + 0.7 * residual(recommender, new), rtol=1e-4, atol=1e-5
    )
    for share in (0.7, 0):  # which is a product of vectors
        served = _share(recommender, share)
        product = served.vectors(new) @ served.item_vectors().T
        np.testing.assert_allclose(product, served.score(new), rtol=1e-4, atol=1e-5)


def test_validation_chooses_the_share_and_the_weights_of_one_look():
    wanted = iter([0.1, 0.2, 0.9, 0.3, 0.5, 0.4])  # epochs 2 and 4: each share in turn, the third is best
    seen = []

    def validate(recommender):
        seen.append((recommender.critic_share, recommender.score(histories())))
        return next(wanted)

    recommender = RCGAN(settings(critic_shares=[0, 0.25, 1])).fit(histories(), validate)
    assert [share for share, _ in seen] == [0, 0.25, 1] * 2
    assert (
        recommender.training.best_epoch,
        recommender.training.validation_ndcg,
        recommender.critic_share,
    ) == (2, 0.9, 1)
    np.testing.assert_array_equal(recommender.score(histories()), seen[2][1])
    assert RCGAN(settings(critic_shares=[0, 0.25]), 0.25).fit(histories()).critic_share == 0.25


def test_the_half_life_is_tried_on_the_chosen_weights_and_kept_anew_and_in_the_files(tmp_path):
    rows = histories()
    days = np.random.default_rng(3).integers(0, 60, rows.nnz).astype(np.float32)
    ages = csr_array((days, rows.indices, rows.indptr), shape=rows.shape)
    wanted = iter([0.1, 0.6, 0.3, 0.5, 0.7])  # two looks, then each half life in turn
    tried = []

    def validate(recommender):
        tried.append(recommender.half_life_days)
        return next(wanted)

    recommender = RCGAN(settings(half_life_days=[None, 9, 20])).fit(rows, validate)
    assert tried == [None, None, None, 9, 20]
    assert (recommender.half_life_days, recommender.training.validation_ndcg) == (20, 0.7)
    scores = recommender.score(rows, ages)
    np.testing.assert_array_equal(scores, recommender.score(aged(rows, ages, 20)))
    assert not np.array_equal(scores, recommender.score(rows))
    recommender.save(tmp_path)
    np.testing.assert_array_equal(RCGAN.load(tmp_path).score(rows, ages), scores)
    assert recommender.anew().fit(rows).half_life_days == 20
    assert RCGAN(settings(half_life_days=[4, None])).fit(rows).half_life_days == 4  # nothing chose


def test_a_stopped_training_goes_on_to_the_same_end(tmp_path):
    shares = [0, 0.25, 1]
    order = [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]

    def validate(scores):
        left = iter(scores)
        return lambda _: next(left)

    whole = RCGAN(settings(critic_shares=shares)).fit(histories(), validate(order))

    def dies(recommender, left=iter(order[:3])):  # noqa: B008
        try:
            return next(left)
        except StopIteration:
            raise MemoryError("killed") from None

    checkpoint = tmp_path / "choose.ckpt"
    with pytest.raises(MemoryError):
        RCGAN(settings(critic_shares=shares)).fit(histories(), dies, checkpoint=checkpoint)
    resumed = RCGAN(settings(critic_shares=shares)).fit(
        histories(), validate(order[3:]), checkpoint=checkpoint
    )
    assert (
        (resumed.training.best_epoch, resumed.critic_share)
        == (whole.training.best_epoch, whole.critic_share)
        == (2, 1)
    )
    np.testing.assert_array_equal(resumed.score(histories()), whole.score(histories()))
    assert resumed.training.curves == whole.training.curves


def test_one_seed_gives_one_result():
    first, second, other = (RCGAN(settings(seed=s)).fit(histories()).score(histories()) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_without_an_adversary_the_critic_does_not_matter():
    """λ = 0 is the ablation: the generator's weights no longer depend on the critic."""
    one, two, against = (
        RCGAN(settings(adversarial=share, critic={**SIDE, "hidden": [12], "learning_rate": rate}))
        .fit(histories())
        .generator.output.weight
        for share, rate in ((0, 0.01), (0, 0.02), (1, 0.01))
    )
    assert torch.equal(one, two)
    assert not torch.allclose(one, against)


def test_two_hidden_layers():
    side = {**SIDE, "hidden": [10, 6]}
    recommender = RCGAN(settings(generator=side, critic=side)).fit(confidences())
    assert np.isfinite(recommender.score(confidences(seed=1))).all()


def test_saved_and_loaded_it_scores_the_same(tmp_path):
    recommender = RCGAN(settings(critic_shares=[0.25, 1])).fit(histories(), validate=lambda _: 0.5)
    recommender.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "recommender.json"}
    loaded = load_recommender(tmp_path)
    for rows in (histories(), histories(seed=4)):
        np.testing.assert_array_equal(loaded.score(rows), recommender.score(rows))
    assert (loaded.training.epochs, loaded.training.best_epoch, loaded.training.validation_ndcg) == (
        4,
        2,
        0.5,
    )
    assert loaded.critic_share == 0.25


@pytest.mark.parametrize(
    ("old", "new"),
    [('"items": 14', '"items": 15'), ('"critic_share": 0.5', '"critic_share": null'), ("12", "13")],
)
def test_a_damaged_folder_is_refused(old, new, tmp_path):
    RCGAN(settings(epochs=1)).fit(histories()).save(tmp_path)
    path = tmp_path / "recommender.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecganError, match="run dvc repro train"):
        load_recommender(tmp_path)


def test_what_crosses_its_line_is_reported(caplog):
    drawn = {**ALARMS, "effective_items": 1000.0}
    recommender = RCGAN(settings(alarms=drawn)).fit(histories())
    assert recommender.training.alarms == {"effective_items": 2}
    assert "effective_items" in caplog.text
    assert RCGAN(settings()).fit(histories()).training.alarms == {}


def test_a_turn_has_as_many_steps_as_it_says():
    played = game()
    for player in ("discriminator", "generator"):
        assert sum(1 for _ in played.batches(player)) == played.steps(player) > 1


def test_a_package_from_before_the_trainer_section_loads(tmp_path):
    """Its settings name an accelerator, and nothing else of the trainer."""
    recommender = RCGAN(settings()).fit(histories())
    recommender.save(tmp_path)
    about = json.loads((tmp_path / "recommender.json").read_text())
    del about["settings"]["trainer"]
    about["settings"]["accelerator"] = "cpu"
    (tmp_path / "recommender.json").write_text(json.dumps(about))
    loaded = load_recommender(tmp_path)
    assert loaded.settings == settings()
    np.testing.assert_array_equal(loaded.score(histories()), recommender.score(histories()))

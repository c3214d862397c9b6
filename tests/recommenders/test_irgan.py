"""IRGAN: what its players learn, what they may not touch, and what it answers."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn.functional import logsigmoid

from recgan.core.errors import RecganError
from recgan.recommenders.irgan.game import IRGANGame, draw, reinforce, shares
from recgan.recommenders.irgan.recommender import IRGAN
from recgan.recommenders.irgan.settings import IRGANParams
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from tests.adversarial.laws import (
    TRAINER,
    assert_a_turn_leaves_the_opponent_untouched,
    assert_it_teaches_the_generator_alone,
    turn,
)
from tests.recommenders.data import checkerboard, histories

ALARMS = {
    "grace": 1,
    "win_rate": None,
    "gradient_growth": None,
    "effective_items": None,
    "effective_rank": None,
}
SIDE = {"factors": 6, "learning_rate": 0.01, "l2": 0.001, "batch_size": 8, "steps": 1}
ASKED = np.flatnonzero(np.diff(histories().indptr)).tolist()
PRETRAINING = {"epochs": 2, "learning_rate": 0.02, "l2": 0.001}


def settings(**changes):
    return IRGANParams.model_validate(
        {
            "recommender": "irgan",
            "seed": 1,
            "trainer": TRAINER,
            "pretraining": PRETRAINING,
            "generator": SIDE,
            "discriminator": {**SIDE, "factors": 4, "steps": 2},
            "temperature": 0.5,
            "own_items": 0.2,
            "draws": 2,
            "fold_in_l2": 1,
            "alarms": ALARMS,
            "epochs": 6,
            "evaluate_every": 2,
            "look_users": None,
            "patience": None,
            "refit": False,
            **changes,
        }
    )


def game(rows=None, **changes):
    """Return a game in its first adversarial epoch, its players no longer near zero."""
    changes = {"pretraining": {**PRETRAINING, "epochs": 0}, **changes}
    built = IRGANGame(settings(**changes), histories() if rows is None else rows, torch.device("cpu"))
    built.begin_epoch(0)
    rng = torch.Generator().manual_seed(3)
    for weight in (*built.generator.parameters(), *built.discriminator.parameters()):
        torch.nn.init.normal_(weight, std=0.7, generator=rng)
    return built


def of(played, users):
    """Return some users as one batch."""
    (batch,) = played.rows.batches(torch.as_tensor(users), len(users))
    return batch


def gradients(loss, network):
    return torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)


@pytest.mark.parametrize("draws", [2, None])
def test_the_adversarial_loss_alone_reaches_every_generator_weight_and_no_critic_weight(draws):
    played = game(draws=draws)
    batch = of(played, ASKED)
    assert_it_teaches_the_generator_alone(
        played.generator, played.discriminator, lambda: played.adversarial_loss(batch)
    )


def test_users_outside_the_batch_get_no_gradient_and_those_inside_do():
    played = game()
    users, items, bias = gradients(played.adversarial_loss(of(played, [3, 0, 7])), played.generator)
    assert users.abs().sum(dim=1).nonzero().flatten().tolist() == [0, 3, 7]
    assert (items != 0).all()  # the softmax reaches all items, drawn or not
    assert (bias != 0).all()


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_turn_leaves_the_opponent_untouched(epochs):
    assert_a_turn_leaves_the_opponent_untouched(game(pretraining={**PRETRAINING, "epochs": epochs}))


def test_losses_equal_the_formulas_written_out():
    played = game(draws=None)
    chosen = csr_array(histories()[ASKED])
    x = torch.as_tensor(chosen.toarray())  # (users, items)
    both = (played.generator, played.discriminator)
    g, f = (net.users[ASKED] @ net.items.T + net.bias for net in both)
    p = g.softmax(dim=1)
    batch = of(played, ASKED)

    likelihood = -((x * p.log()).sum(dim=1) / x.sum(dim=1)).mean()
    reward = 2 * (torch.sigmoid(f) - 0.5)
    expected_reward = (p * reward.detach()).sum(dim=1).mean()
    for ours, theirs in (
        (played.pretraining_loss(batch), likelihood),
        (played.adversarial_loss(batch), -expected_reward),
    ):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(gradients(ours, played.generator), gradients(theirs, played.generator))

    rows, columns = chosen.nonzero()
    fakes = torch.as_tensor((columns + 5) % 14)
    ours = played.discriminator_loss(batch, fakes)
    theirs = -logsigmoid(f[rows, columns]).mean() - torch.log(1 - torch.sigmoid(f[rows, fakes])).mean()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, played.discriminator), gradients(theirs, played.discriminator))
    sums = {name: total.item() for name, total in played.measured().items()}
    assert sums["reward"] == pytest.approx(expected_reward.item(), rel=1e-5)
    assert sums["entropy"] == pytest.approx(-(p * p.log()).sum(dim=1).mean().item(), rel=1e-5)
    assert sums["d_fake"] == pytest.approx(torch.sigmoid(f[rows, fakes]).mean().item(), rel=1e-5)


def three_items():
    """One user, three items, the first her own: logits, q with λ = .4, rewards."""
    logits = torch.tensor([[0.3, -1.0, 1.2]], requires_grad=True)
    log_p = logits.log_softmax(dim=1)
    q = 0.6 * log_p.detach().exp() + 0.4 * torch.tensor([[1.0, 0, 0]])
    return logits, log_p, q, torch.tensor([[0.9, -0.4, 0.2]])


def test_the_mean_over_all_draws_is_the_gradient_of_the_expected_reward():
    """Each item drawn as often as q says: importance weights make the mean exact; without them it is not."""
    logits, log_p, q, reward = three_items()
    every = torch.arange(3)
    (surrogate,) = torch.autograd.grad(reinforce(log_p, q, reward, every, q[0]), logits, retain_graph=True)
    (exact,) = torch.autograd.grad(-(log_p.exp() * reward).sum(), logits, retain_graph=True)
    torch.testing.assert_close(surrogate, exact)
    p = log_p.detach().exp()
    by_hand = -p * (reward - (p * reward).sum())  # of softmax: p (R - E R)
    torch.testing.assert_close(exact, by_hand)
    (unweighed,) = torch.autograd.grad(-(q * reward * log_p).sum(), logits)
    assert (unweighed - exact).abs().max() > 0.05


def test_one_draw_by_hand():
    """Item 0 drawn: -p/q R log p, and its gradient p/q R (p - e0), as p/q counts as a constant."""
    logits, log_p, q, reward = three_items()
    p = log_p.detach().exp()
    loss = reinforce(log_p, q, reward, torch.tensor([0]), torch.ones(1))
    scale = p[0, 0] / q[0, 0] * 0.9
    assert loss.item() == pytest.approx((-scale * p[0, 0].log()).item())
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, scale * (p - torch.tensor([[1.0, 0, 0]])))


def test_drawn_gradients_average_to_the_exact_one():
    """The game's own loss, importance sampling and all, over some 20,000 draws for each user."""
    exact, drawn = game(draws=None), game(draws=4000)
    batch = of(exact, [0, 1, 2])
    wanted = gradients(exact.adversarial_loss(batch), exact.generator)
    found = gradients(drawn.adversarial_loss(batch), drawn.generator)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.1, atol=0.004)


def test_draws_follow_their_distribution_and_never_the_impossible():
    p = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4, 0.0], [0.0, 0.0, 8.0, 2.0, 0.0]])
    whose = torch.tensor([2, 0, 1]).repeat(20_000)
    rng = torch.Generator().manual_seed(0)
    drawn = draw(p, whose, torch.rand(len(whose), generator=rng, dtype=torch.float64))
    found = torch.stack([torch.bincount(drawn[whose == row], minlength=5) for row in range(3)]) / 20_000
    torch.testing.assert_close(found, p / p.sum(dim=1, keepdim=True), atol=0.012, rtol=0)
    assert (found[p == 0] == 0).all()
    nearly = torch.tensor([0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert draw(torch.tensor([[1e-9, 0.0]]), torch.zeros(3, dtype=torch.long), nearly).tolist() == [0, 0, 0]


def test_shares_of_a_user_sum_to_one():
    assert shares(torch.tensor([0, 0, 1, 2, 2, 2, 2])).tolist() == [0.5, 0.5, 1, *[0.25] * 4]


def test_the_discriminators_fakes_are_drawn_at_the_temperature():
    """So cold that only the generator's favourite is drawn, once for each of the user's items."""
    played = game(temperature=1e-3)
    met = []
    played.discriminator_loss = lambda batch, fakes: met.append((batch, fakes))
    list(turn(played, "discriminator"))
    favourites = played.generator(torch.arange(20)).argmax(dim=1)
    assert len(met) == 2 * 3  # two passes in batches of eight
    for batch, fakes in met:
        assert torch.equal(fakes, favourites[batch.rows[batch.cells(14) // 14]])


def test_users_without_items_are_not_asked():
    rows = histories().toarray()
    rows[6] = 0
    played = game(csr_array(rows))
    for player in ("discriminator", "generator"):
        losses = [loss.item() for loss in turn(played, player)]
        assert np.isfinite(losses).all()
    assert played.asked.tolist() == [user for user in ASKED if user != 6]


def test_pretraining_and_game_have_their_own_rate_and_the_game_a_fresh_optimiser():
    played = IRGANGame(settings(), histories(), torch.device("cpu"))
    optimizer = played.optimizers()[1]
    group = optimizer.param_groups[0]
    met = []
    for epoch in range(4):
        played.begin_epoch(epoch)
        met.append((group["lr"], group["weight_decay"], len(optimizer.state)))
        for loss in turn(played, "generator"):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert ("likelihood" in played.measured()) == (len(met) <= 2)
    assert met == [(0.02, 0.001, 0), (0.02, 0.001, 3), (0.01, 0.001, 0), (0.01, 0.001, 3)]


def test_the_generator_moves_to_what_the_discriminator_takes_for_real():
    """Against a discriminator that rests, drawn steps raise the expected reward of nearly all users."""
    played = game()
    users = torch.as_tensor(ASKED)
    reward = 2 * torch.sigmoid(played.discriminator(users).detach()) - 1

    def expected():
        return (played.generator(users).detach().softmax(dim=1) * reward).sum(dim=1)

    before, optimizer = expected(), torch.optim.Adam(played.generator.parameters(), 0.05)
    for _ in range(50):
        for loss in turn(played, "generator"):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert (expected() > before + 0.2).float().mean() > 0.8


@pytest.fixture(scope="module")
def of_the_board():
    pretraining = {"epochs": 20, "learning_rate": 0.02, "l2": 0.001}
    side = {**SIDE, "l2": 0.001}
    chosen = settings(pretraining=pretraining, generator=side, discriminator=side, temperature=1, epochs=40)
    return IRGAN(chosen).fit(checkerboard())


def test_checkerboard(of_the_board):
    ranking, _ = recommend(of_the_board, checkerboard(), 10)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(30))


def test_a_new_user_gets_what_the_like_minded_like(of_the_board):
    new = csr_array((np.arange(30) % 2 == 0).astype(np.float32)[None] * (np.arange(30) < 20))
    ranking, _ = recommend(of_the_board, new, 5)
    assert sorted(ranking[0]) == [20, 22, 24, 26, 28]


def test_a_fitted_history_gets_its_users_scores_and_any_other_is_folded_in():
    recommender = IRGAN(settings()).fit(histories())
    weights = recommender.generator
    own = (weights.users @ weights.items.T + weights.bias).numpy()
    order = ASKED[::-1]
    np.testing.assert_allclose(recommender.score(histories()[order]), own[order], rtol=1e-5, atol=1e-6)
    new = csr_array(1 - histories().toarray())  # longer than any that was fitted
    folded = recommender.fold_in(new) @ weights.items.numpy().T + weights.bias.numpy()
    np.testing.assert_allclose(recommender.score(new), folded, rtol=1e-5, atol=1e-6)


def test_folding_in_is_a_newton_step_up_the_likelihood():
    """Against autograd's gradient and Hessian of n log-likelihoods and a ridge, at the mean user."""
    recommender = IRGAN(settings(fold_in_l2=0.7)).fit(histories())
    weights = recommender.generator
    G, b = weights.items.double(), weights.bias.double()
    mean = weights.users.double().mean(dim=0)
    new = histories(users=5, seed=3)
    for history, found in zip(new.toarray(), recommender.fold_in(new), strict=True):
        x = torch.as_tensor(history).double()

        def cost(v, x=x):
            return -(x * (G @ v + b).log_softmax(dim=0)).sum() + 0.35 * (v - mean).square().sum()

        slope = torch.autograd.functional.jacobian(cost, mean)
        curvature = torch.autograd.functional.hessian(cost, mean)
        expected = mean - torch.linalg.solve(curvature, slope)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    nothing = csr_array((1, 14), dtype=np.float32)
    np.testing.assert_allclose(recommender.fold_in(nothing)[0], mean.numpy(), rtol=1e-5, atol=1e-7)


def test_scores_of_a_batch_are_those_of_its_rows_and_finite():
    recommender = IRGAN(settings()).fit(histories())
    nothing = np.zeros((1, 14), dtype=np.float32)
    rows = csr_array(np.vstack([histories(seed=1).toarray(), nothing, histories().toarray()]))
    scores = recommender.score(rows)
    assert scores.shape == rows.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    alone = np.vstack([recommender.score(rows[[row]]) for row in range(rows.shape[0])])
    np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-5)
    assert recommender.score(csr_array((0, 14), dtype=np.float32)).shape == (0, 14)


def test_a_stopped_training_goes_on_to_the_same_end(tmp_path):
    """Killed at the last look of pretraining, and in the game."""
    whole = IRGAN(settings()).fit(histories(), _scores(0.1, 0.3, 0.2))
    for looks in (1, 2):
        checkpoint = tmp_path / f"{looks}.ckpt"
        with pytest.raises(MemoryError):
            IRGAN(settings()).fit(histories(), _scores(*(0.1, 0.3)[:looks]), checkpoint=checkpoint)
        resumed = IRGAN(settings()).fit(histories(), _scores(*(0.1, 0.3, 0.2)[looks:]), checkpoint=checkpoint)
        assert resumed.training == whole.training
        assert resumed.training.best_epoch == 4
        np.testing.assert_array_equal(resumed.score(histories()), whole.score(histories()))


def _scores(*given):
    left = iter(given)

    def validate(_):
        try:
            return next(left)
        except StopIteration:
            raise MemoryError("killed") from None

    return validate


def test_one_seed_gives_one_result():
    first, second, other = (IRGAN(settings(seed=s)).fit(histories()).score(histories()) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_while_it_pretrains_the_discriminator_does_not_matter():
    """All epochs pretraining is the ablation: no weight of the generator depends on the discriminator."""

    def items(epochs, rate):
        sides = {"discriminator": {**SIDE, "learning_rate": rate}}
        pretraining = {**PRETRAINING, "epochs": epochs}
        return IRGAN(settings(pretraining=pretraining, **sides)).fit(histories()).generator.items

    assert torch.equal(items(6, 0.01), items(6, 0.03))
    assert not torch.allclose(items(5, 0.01), items(5, 0.03))


def test_saved_and_loaded_it_scores_the_same(tmp_path):
    recommender = IRGAN(settings()).fit(histories(), validate=lambda _: 0.5)
    recommender.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "recommender.json"}
    loaded = load_recommender(tmp_path)
    for rows in (histories(), histories(seed=4)):
        np.testing.assert_array_equal(loaded.score(rows), recommender.score(rows))
    training = loaded.training
    assert (training.epochs, training.best_epoch, training.validation_ndcg) == (6, 2, 0.5)
    assert loaded.parameters == recommender.parameters == (20 + 14) * 6 + 14


@pytest.mark.parametrize(
    ("old", "new"),
    [('"items": 14', '"items": 15'), ('"users": 20', '"users": 19'), ('"factors": 6', '"factors": 7')],
)
def test_a_damaged_folder_is_refused(old, new, tmp_path):
    IRGAN(settings(epochs=1)).fit(histories()).save(tmp_path)
    path = tmp_path / "recommender.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecganError, match="run dvc repro train"):
        load_recommender(tmp_path)


def test_what_crosses_its_line_is_reported():
    drawn = {**ALARMS, "effective_items": 1000.0}
    assert IRGAN(settings(alarms=drawn)).fit(histories()).training.alarms == {"effective_items": 2}
    assert IRGAN(settings()).fit(histories()).training.alarms == {}


def test_a_turn_has_as_many_steps_as_it_says():
    played = game()
    for player in ("discriminator", "generator"):
        assert sum(1 for _ in played.batches(player)) == played.steps(player) > 1

"""CFGAN: what it learns, what it may not touch, and what it answers."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.cfgan import game as cfgan_game
from recgan.recommenders.cfgan.game import CFGANGame
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.cfgan.settings import CFGANParams
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from tests.adversarial.laws import TRAINER, assert_a_turn_leaves_the_opponent_untouched, turn
from tests.recommenders.data import checkerboard, histories

VIEWS = ["user", "item"]


def settings(**changes):
    side = {"hidden": [24], "learning_rate": 0.01, "l2": 0.0, "batch_size": 8, "steps": 2}
    return CFGANParams.model_validate(
        {
            "recommender": "cfgan",
            "seed": 1,
            "trainer": TRAINER,
            "view": "user",
            "loss": "non_saturating",
            "generator": side,
            "discriminator": {**side, "hidden": [12], "learning_rate": 0.003, "steps": 1},
            "stability": {
                "generator": {"betas": [0.9, 0.999], "clip_gradient": None},
                "discriminator": {"betas": [0.9, 0.999], "clip_gradient": None},
                "label_smoothing": 0,
                "feature_matching": 0,
                "constraints": {
                    "clip_weights": None,
                    "gradient_penalty": 0,
                    "r1": 0,
                    "r2": 0,
                    "spectral_norm": False,
                },
                "schedule": {"critic_steps": None, "warm_up": 0, "ramp": 0, "ema": None},
                "alarms": {
                    "grace": 5,
                    "win_rate": None,
                    "gradient_growth": None,
                    "effective_items": None,
                    "effective_rank": None,
                },
            },
            "zero_reconstruction_share": 0.5,
            "zero_reconstruction": 0.1,
            "partial_masking_share": 0.5,
            "fold_in_l2": 0.1,
            "epochs": 4,
            "evaluate_every": 2,
            "look_users": None,
            "patience": None,
            "refit": False,
            **changes,
        }
    )


def game(view="user", **changes):
    rows = histories()
    built = CFGANGame(settings(view=view, **changes), rows, torch.device("cpu"))
    built.begin_epoch(0)
    return built


@pytest.mark.parametrize("loss", ["non_saturating", "saturating", "least_squares", "hinge"])
def test_the_adversarial_loss_alone_reaches_every_generator_weight(loss):
    """The fake scores are inside the generator's tape."""
    played = game(loss=loss)
    (batch,) = played.rows.batches(torch.arange(20), 20)
    adversarial, _ = played.generator_losses(batch, played.discriminator.read(batch).detach())
    adversarial.backward()
    for name, weight in played.generator.named_parameters():
        assert weight.grad.abs().sum() > 0, name


def test_a_turn_leaves_the_opponent_untouched():
    assert_a_turn_leaves_the_opponent_untouched(game())


@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
def test_losses_equal_the_formula_written_out(loss):
    """With every zero visible and kept, CFGAN's two losses on dense rows by hand."""
    played = game(loss=loss, partial_masking_share=1, zero_reconstruction_share=1)
    rows = torch.as_tensor(histories().toarray())
    (batch,) = played.rows.batches(torch.arange(20), 20)
    written = played.generator(batch)

    def judge(judged):
        d = played.discriminator
        first = torch.sigmoid(rows @ d.condition + judged @ d.judged + d.bias)
        return first @ d.output.weight[0] + d.output.bias

    adversarial, kept = played.generator_losses(batch, played.discriminator.read(batch))
    fake, real = judge(written), judge(rows)
    if loss == "hinge":
        expected = -fake.mean()
        expected_d = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    else:
        expected = -torch.sigmoid(fake).log().mean()
        expected_d = -torch.sigmoid(real).log().mean() - (1 - torch.sigmoid(fake)).log().mean()
    torch.testing.assert_close(adversarial, expected)
    torch.testing.assert_close(kept, (written.square() * (rows == 0)).sum(dim=1).mean())
    whole = game(
        loss=loss,
        partial_masking_share=1,
        discriminator={**settings().discriminator.model_dump(), "batch_size": 20},
    )
    torch.testing.assert_close(next(turn(whole, "discriminator")), expected_d)


def test_masks_show_every_entry_and_the_share_of_zeros():
    rows = csr_array((np.random.default_rng(0).random((200, 300)) < 0.1).astype(np.float32))
    played = CFGANGame(
        settings(partial_masking_share=0.7, zero_reconstruction_share=0.2), rows, torch.device("cpu")
    )
    held = torch.as_tensor(rows.toarray()) > 0
    played.begin_epoch(0)
    visible, zeros = played._visible.float(), played._zeros.float()
    assert (visible[held] == 1).all()
    assert visible[~held].mean().item() == pytest.approx(0.7, abs=0.01)
    assert (zeros[held] == 0).all()
    assert zeros[~held].mean().item() == pytest.approx(0.2, abs=0.01)
    played.begin_epoch(1)
    assert not torch.equal(visible, played._visible.float())


def test_masks_are_drawn_alike_whatever_the_rows_drawn_at_a_time(monkeypatch):
    whole = game(partial_masking_share=0.3)
    monkeypatch.setattr(cfgan_game, "BLOCK", 3)
    blocks = game(partial_masking_share=0.3)
    assert torch.equal(whole._visible, blocks._visible)
    assert torch.equal(whole._zeros, blocks._zeros)
    batch = whole.rows.all()
    torch.testing.assert_close(whole._write(batch), blocks._write(batch))


def _for_the_board(view):
    side = {"hidden": [8], "learning_rate": 0.01, "l2": 0.001, "batch_size": 10, "steps": 2}
    return settings(
        view=view,
        generator=side,
        discriminator={**side, "hidden": [12], "steps": 1},
        partial_masking_share=0.7,
        zero_reconstruction_share=0.7,
        zero_reconstruction=0.03,
        epochs=50,
    )


@pytest.fixture(scope="module", params=VIEWS)
def of_the_board(request):
    return CFGAN(_for_the_board(request.param)).fit(checkerboard())


def test_checkerboard(of_the_board):
    likes, recommender = checkerboard(), of_the_board
    ranking, _ = recommend(recommender, likes, 10)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(30))
    alone = np.vstack([recommend(recommender, likes[[row]], 10)[0] for row in range(30)])
    np.testing.assert_array_equal(alone[:, 0], ranking[:, 0])


def test_a_new_user_gets_what_the_like_minded_like(of_the_board):
    new = csr_array((np.arange(30) % 2 == 0).astype(np.float32)[None] * (np.arange(30) < 20))
    ranking, _ = recommend(of_the_board, new, 5)
    assert sorted(ranking[0]) == [20, 22, 24, 26, 28]


@pytest.mark.parametrize("view", VIEWS)
def test_scores_of_a_batch_are_those_of_its_rows_and_finite(view):
    fitted, new = histories(), histories(seed=1)
    recommender = CFGAN(settings(view=view)).fit(fitted)
    nothing = csr_array((1, 14), dtype=np.float32)
    for rows in (fitted, new, csr_array(np.vstack([new.toarray(), nothing.toarray(), fitted.toarray()]))):
        scores = recommender.score(rows)
        assert scores.shape == rows.shape
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        alone = np.vstack([recommender.score(rows[[row]]) for row in range(rows.shape[0])])
        np.testing.assert_allclose(scores, alone, rtol=1e-4, atol=1e-5)


def test_user_view_scores_are_the_generators_output():
    fitted = histories()
    recommender = CFGAN(settings()).fit(fitted)
    g = recommender.generator
    rows = torch.as_tensor(histories(seed=2).toarray())
    expected = torch.sigmoid(rows @ g.first + g.bias) @ g.output.weight.T + g.output.bias
    np.testing.assert_allclose(recommender.score(histories(seed=2)), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_item_view_gives_a_fitted_history_its_own_output_unit():
    fitted = histories()
    recommender = CFGAN(settings(view="item")).fit(fitted)
    g = recommender.generator
    columns = torch.as_tensor(fitted.toarray().T.copy())  # (items, users)
    written = torch.sigmoid(columns @ g.first + g.bias) @ g.output.weight.T + g.output.bias
    asked = np.flatnonzero(np.diff(fitted.indptr))
    np.testing.assert_allclose(
        recommender.score(fitted)[asked], written.T.numpy()[asked], rtol=1e-4, atol=1e-5
    )
    shuffled = fitted[[3, 3, 0]]
    np.testing.assert_allclose(
        recommender.score(shuffled), written.T.numpy()[[3, 3, 0]], rtol=1e-4, atol=1e-5
    )


def test_item_view_folds_in_by_ridge():
    """Against NumPy's least squares on the stacked system."""
    fitted, new = histories(), histories(users=8, seed=3)
    recommender = CFGAN(settings(view="item", fold_in_l2=0.7)).fit(fitted)
    g = recommender.generator
    columns = torch.as_tensor(fitted.toarray().T.copy())
    H = torch.sigmoid(columns @ g.first + g.bias).double().numpy()  # (items, hidden)
    weight, bias = g.output.weight.double().numpy(), g.output.bias.double().numpy()
    mean = (H @ weight.T + bias).mean(axis=1)  # (items,)
    for history, scores in zip(new.toarray(), recommender.score(new), strict=True):
        assert history.any()
        stacked = np.vstack([H, np.sqrt(0.7) * np.eye(H.shape[1])])
        target = np.concatenate([history - mean, np.zeros(H.shape[1])])
        weights, *_ = np.linalg.lstsq(stacked, target)
        np.testing.assert_allclose(scores, mean + H @ weights, rtol=1e-3, atol=1e-3)
    nothing = csr_array((1, 14), dtype=np.float32)
    np.testing.assert_allclose(recommender.score(nothing)[0], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("view", VIEWS)
def test_one_seed_gives_one_result(view):
    fitted = histories()
    first, second, other = (
        CFGAN(settings(view=view, seed=seed)).fit(fitted).score(fitted) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_the_callers_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    CFGAN(settings(epochs=1)).fit(histories())
    assert torch.equal(torch.rand(3), expected)


def test_graded_confidences_and_two_hidden_layers():
    side = {**settings().generator.model_dump(), "hidden": [10, 6]}
    graded = histories() * 3.5
    recommender = CFGAN(settings(generator=side, discriminator=side, view="item")).fit(graded)
    assert np.isfinite(recommender.score(graded)).all()


@pytest.mark.parametrize("view", VIEWS)
def test_saved_and_loaded_it_scores_the_same(view, tmp_path):
    fitted, new = histories(), histories(seed=4)
    recommender = CFGAN(settings(view=view)).fit(fitted, validate=lambda _: 0.5)
    recommender.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "recommender.json"}
    loaded = load_recommender(tmp_path)
    for rows in (fitted, new):
        np.testing.assert_array_equal(loaded.score(rows), recommender.score(rows))
    assert (loaded.training.epochs, loaded.training.best_epoch, loaded.training.validation_ndcg) == (
        4,
        2,
        0.5,
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda folder: (folder / "weights.safetensors").unlink(), "no readable recommender"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"half"), "no readable recommender"),
        (lambda folder: _replace(folder, '"width": 14', '"width": 15'), "run dvc repro train"),
        (lambda folder: _replace(folder, '"items": 14', '"items": 15'), "15 items"),
        (lambda folder: _replace(folder, '"name": "cfgan"', '"name": "dfgan"'), "'dfgan'"),
        (lambda folder: (folder / "recommender.json").write_text("{"), "no readable recommender"),
    ],
)
def test_a_damaged_folder_is_refused(fault, message, tmp_path):
    CFGAN(settings(epochs=1)).fit(histories()).save(tmp_path)
    fault(tmp_path)
    with pytest.raises(RecganError, match=message):
        load_recommender(tmp_path)


def _replace(folder, old, new):
    path = folder / "recommender.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecganError, match="set it to auto or cpu"):
        CFGAN(settings(trainer={**TRAINER, "accelerator": "gpu"})).fit(histories())


def test_a_learning_rate_that_breaks_training_is_named():
    side = {**settings().generator.model_dump(), "learning_rate": 1e38}
    with pytest.raises(RecganError, match="lower the learning rates"):
        CFGAN(settings(generator=side)).fit(histories())

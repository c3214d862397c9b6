"""The student: its closed form, what it learns from its teachers, and that it serves without torch."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array

from recgan.core.errors import RecganError
from recgan.recommenders.ages import aged
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.linear import linear_weights
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import recommend
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.student.blocks import Block, item_blocks
from recgan.recommenders.student.recommender import NO_INVERSE, Student
from recgan.recommenders.student.rows import Choice, Rows
from recgan.recommenders.student.settings import StudentParams
from tests.recommenders import test_rcgan
from tests.recommenders.data import checkerboard, histories
from tests.recommenders.test_rcgan import confidences

LISTS = ("generated_weights", "row_exponents", "temperatures", "l2")


def settings(teacher=None, **changes):
    return StudentParams.model_validate(
        {
            "recommender": "student",
            "teacher": test_rcgan.settings(**(teacher or {})).model_dump(),
            "teachers": 1,
            "teacher_users": None,
            "generated_weights": [1.5],
            "row_exponents": [0.25],
            "temperatures": [None],
            "l2": [2],
            "neighbours": None,
            "block_items": None,
            **changes,
        }
    )


def of_real_rows(**changes):
    return settings(generated_weights=[0], **changes)


def solve(rows, n_items, omega, a, tau, l2):
    block = Block(np.arange(n_items), np.arange(n_items))
    return linear_weights(rows.gram(block, Choice(omega, a, tau, l2)), l2, "singular")


@pytest.mark.parametrize("graded", [False, True])
def test_without_generated_rows_and_row_weights_it_is_ease(graded):
    rows = confidences() if graded else histories()
    student = Student(of_real_rows(row_exponents=[0], l2=[3])).fit(rows)
    new = csr_array(np.vstack([histories(seed=3).toarray(), np.zeros((1, 14), np.float32)]))
    np.testing.assert_array_equal(student.score(new), EASE(3).fit(rows).score(new))
    assert student.training.epochs == 0  # no teacher for nothing


@pytest.mark.parametrize("tau", [None, 0.7])
@pytest.mark.parametrize("graded", [False, True])
def test_the_closed_form_solves_its_least_squares_problem(graded, tau):
    """Each column by NumPy's least squares on the stacked rows, the item itself left out."""
    X = confidences() if graded else histories()
    scores = np.random.default_rng(0).normal(size=X.shape).astype(np.float32)
    omega, a, l2 = 1.5, 0.5, 2.0
    B = solve(Rows(X, X, scores), 14, omega, a, tau, l2)

    x = X.toarray().astype(float)
    n = x.sum(axis=1)
    Y = scores
    if tau is not None:
        Y = np.exp(scores / tau)
        Y *= (n / Y.sum(axis=1))[:, None]
    some = n > 0
    D = np.where(some, np.maximum(n, 1) ** -a, 0)
    D /= D[some].mean()
    stacked = np.vstack(
        [np.sqrt(D)[:, None] * x, np.sqrt(omega * D)[:, None] * Y, np.sqrt((1 + omega) * l2) * np.eye(14)]
    )
    target = stacked.copy()
    target[-14:] = 0
    assert (np.diag(B) == 0).all()
    for item in range(14):
        others = np.arange(14) != item
        expected, *_ = np.linalg.lstsq(stacked[:, others], target[:, item])
        np.testing.assert_allclose(B[others, item], expected, rtol=1e-4, atol=1e-5)


def test_a_profile_by_hand():
    """Two items held, scores 0 and τ·log 3: shares of 1/4 and 3/4 of two items."""
    X = csr_array(np.array([[1, 1], [0, 0]], dtype=np.float32))
    scores = np.array([[0, 0.5 * np.log(3)], [1, 2]], dtype=np.float32)
    rows = Rows(X, X, scores)
    np.testing.assert_allclose(rows.profiles(slice(None), np.arange(2), 0.5), [[0.5, 1.5], [0, 0]], rtol=1e-6)
    block = Block(np.arange(2), np.arange(2))
    expected = [[0.25, 0.75], [0.75, 2.25]]  # the one row that holds something has the mean weight
    np.testing.assert_allclose(rows.generated_gram(block, 0.5, 0.5), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def of_the_board():
    side = {"hidden": [16], "dropout": 0.3, "learning_rate": 0.01, "weight_decay": 0.1, "batch_size": 8}
    return Student(settings({"generator": side, "critic": side, "epochs": 60})).fit(checkerboard())


def test_checkerboard(of_the_board):
    ranking, _ = recommend(of_the_board, checkerboard(), 10)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(30))


def test_a_new_user_gets_what_the_like_minded_like(of_the_board):
    new = csr_array((np.arange(30) % 2 == 0).astype(np.float32)[None] * (np.arange(30) < 20))
    ranking, _ = recommend(of_the_board, new, 5)
    assert sorted(ranking[0]) == [20, 22, 24, 26, 28]


@pytest.mark.parametrize("neighbours", [None, 4])
def test_scores_of_a_batch_are_those_of_its_rows_and_finite(neighbours):
    student = Student(of_real_rows(neighbours=neighbours)).fit(histories())
    nothing = np.zeros((1, 14), dtype=np.float32)
    rows = csr_array(np.vstack([histories(seed=1).toarray(), nothing, confidences().toarray()]))
    scores = student.score(rows)
    assert scores.shape == rows.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    alone = np.vstack([student.score(rows[[row]]) for row in range(rows.shape[0])])
    np.testing.assert_allclose(scores, alone, rtol=1e-5, atol=1e-6)
    assert student.score(csr_array((0, 14), dtype=np.float32)).shape == (0, 14)
    np.testing.assert_allclose(scores[20], histories().toarray().mean(axis=0), rtol=1e-6)  # popularity


def test_it_learns_from_the_mean_of_its_teachers_scores():
    rows = histories()
    student = Student(settings(teachers=2)).fit(rows)
    each = [RCGAN(test_rcgan.settings(seed=seed)).fit(rows).score(rows) for seed in (1, 2)]
    B = solve(Rows(rows, rows, np.mean(each, axis=0)), 14, 1.5, 0.25, None, 2)
    some = np.diff(rows.indptr) > 0
    np.testing.assert_allclose(student.score(rows)[some], (rows @ B)[some], rtol=1e-4, atol=1e-5)
    assert student.choice.epochs == (4, 4)
    assert [row["epoch"] for row in student.training.curves] == list(range(1, 9))
    assert [row["teacher"] for row in student.training.curves] == [1] * 4 + [2] * 4


def test_validation_chooses_and_anew_keeps_the_choice(caplog):
    """Of 2 × 2 × 2 × 2 candidates, those without generated rows once for both temperatures."""
    lists = {name: [1, 2] for name in LISTS} | {"generated_weights": [0, 2], "l2": [1, 2, 3]}
    student = Student(settings({"critic_shares": [0, 1]}, **lists))
    seen = []

    def validate(recommender):
        if isinstance(recommender, RCGAN):
            return recommender.critic_share + (recommender.training.epochs == 0)
        seen.append(recommender.score(histories()))
        return 0.5 if len(seen) == 4 else 0.1

    with caplog.at_level(logging.WARNING):
        student.fit(histories(), validate)
    assert len(seen) == 2 * (2 * 3 + 3)
    assert (student.choice, student.training.validation_ndcg) == (Choice(2, 1, 1, 1, (2,), (1,)), 0.5)
    assert "the best of l2, 1, is on the edge of its list; widen its l2" in caplog.text
    np.testing.assert_array_equal(student.score(histories()), seen[3])

    again = student.anew().fit(histories(), epochs=student.training.best_epoch)
    assert again.choice == student.choice
    teacher = RCGAN(test_rcgan.settings(critic_shares=[0, 1]), 1).fit(histories(), epochs=2)
    B = solve(Rows(histories(), histories(), teacher.score(histories())), 14, 2, 1, 1, 1)
    some = np.diff(histories().indptr) > 0
    np.testing.assert_allclose(again.score(histories())[some], (histories() @ B)[some], rtol=1e-4, atol=1e-5)


def test_histories_are_weighed_by_the_half_life_that_validation_chose(tmp_path):
    rows = histories()
    days = np.random.default_rng(3).integers(0, 60, rows.nnz).astype(np.float32)
    ages = csr_array((days, rows.indices, rows.indptr), shape=rows.shape)
    lists = {"generated_weights": [0], "l2": [2]}

    def validate(recommender):
        return {None: 0.1, 9: 0.4, 20: 0.2}[recommender.half_life_days]

    student = Student(settings({"half_life_days": [None, 9, 20]}, **lists)).fit(rows, validate)
    assert (student.choice.half_life_days, student.training.validation_ndcg) == (9, 0.4)
    np.testing.assert_array_equal(student.score(rows, ages), student.score(aged(rows, ages, 9)))
    student.save(tmp_path)
    np.testing.assert_array_equal(Student.load(tmp_path).score(rows, ages), student.score(rows, ages))
    assert student.anew().fit(rows).half_life_days == 9


def test_without_validation_the_first_values_are_taken():
    student = Student(of_real_rows(l2=[2, 3], row_exponents=[0.5, 0])).fit(histories())
    assert (student.choice.l2, student.choice.row_exponent) == (2, 0.5)


def test_teachers_of_drawn_users():
    student = Student(settings({"epochs": 1}, teacher_users=7)).fit(histories())
    assert student.score(histories()).shape == (20, 14)
    more = Student(settings({"epochs": 1}, teacher_users=20)).fit(histories())
    every = Student(settings({"epochs": 1})).fit(histories())
    np.testing.assert_array_equal(more.score(histories()), every.score(histories()))
    assert not np.allclose(student.score(histories()), every.score(histories()))


def test_neighbours_are_the_largest_entries_of_each_column():
    dense = Student(of_real_rows()).fit(histories())._weights
    sparse = Student(of_real_rows(neighbours=4)).fit(histories())._weights.toarray()
    assert ((sparse != 0).sum(axis=0) == 4).all()
    for column, kept in zip(dense.T, sparse.T, strict=True):
        held = kept != 0
        np.testing.assert_array_equal(kept[held], column[held])
        assert np.abs(column[held]).min() >= np.abs(column[~held]).max()


def test_blocks_part_the_items_and_gather_what_occurs_together():
    blocks = item_blocks(checkerboard(), 15)
    assert sorted(np.concatenate([block.targets for block in blocks])) == list(range(30))
    assert [len(block.support) for block in blocks] == [30, 30]
    for block in blocks:
        assert len(set(block.targets % 2)) == 1
        np.testing.assert_array_equal(block.support[:15], block.targets)


def test_blocks_beside_all_other_items_change_nothing():
    dense = Student(of_real_rows()).fit(histories())
    blocks = Student(of_real_rows(block_items=7)).fit(histories())
    assert len(item_blocks(histories(), 7)) == 2
    np.testing.assert_allclose(blocks.score(histories()), dense.score(histories()), rtol=1e-4, atol=1e-5)


def test_apart_blocks_lose_nothing():
    """Even and odd items never occur together: four blocks of a half each answer as one block of all."""
    blocks = Student(of_real_rows(block_items=8, l2=[5])).fit(checkerboard(32))
    ranking, _ = recommend(blocks, checkerboard(32), 1)
    np.testing.assert_array_equal(ranking[:, 0], np.arange(32))


@pytest.mark.parametrize("changes", [{}, {"neighbours": 5}, {"block_items": 5}])
def test_saved_and_loaded_it_scores_the_same(changes, tmp_path):
    student = Student(settings({"epochs": 1}, **changes)).fit(histories(), validate=lambda _: 0.5)
    student.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "recommender.json"}
    loaded = load_recommender(tmp_path)
    for rows in (histories(), histories(seed=4)):
        np.testing.assert_array_equal(loaded.score(rows), student.score(rows))
    assert (loaded.choice, loaded.parameters) == (student.choice, student.parameters)
    assert (loaded.training.best_epoch, loaded.training.validation_ndcg) == (1, 0.5)


@pytest.mark.parametrize("neighbours", [None, 5])
@pytest.mark.parametrize(("old", "new"), [('"items": 14', '"items": 15'), ('"l2": 2.0', '"ridge": 2.0')])
def test_a_damaged_folder_is_refused(neighbours, old, new, tmp_path):
    Student(of_real_rows(neighbours=neighbours)).fit(histories()).save(tmp_path)
    path = tmp_path / "recommender.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(RecganError, match="run dvc repro train"):
        load_recommender(tmp_path)


@pytest.mark.parametrize("looks", [1, 3, 5])
def test_a_killed_fit_goes_on_at_its_teachers_checkpoint(looks, tmp_path):
    """Killed in the first teacher, in the second, and while ω is chosen."""
    made = settings(teachers=2, generated_weights=[1, 2])

    def validate(recommender):
        if isinstance(recommender, Student):
            return recommender.choice is None and float(recommender._weights[0, 1])
        return float(recommender.score(histories())[0, 0])

    whole = Student(made).fit(histories(), validate)
    left = iter(range(looks))

    def dies(recommender):
        try:
            next(left)
        except StopIteration:
            raise MemoryError("killed") from None
        return validate(recommender)

    checkpoint = tmp_path / "choose.ckpt"
    with pytest.raises(MemoryError):
        Student(made).fit(histories(), dies, checkpoint=checkpoint)
    asked = []

    def counts(recommender):
        asked.append(type(recommender).__name__)
        return validate(recommender)

    resumed = Student(made).fit(histories(), counts, checkpoint=checkpoint)
    np.testing.assert_array_equal(resumed.score(histories()), whole.score(histories()))
    assert resumed.choice == whole.choice
    assert resumed.training.curves == whole.training.curves
    assert asked.count("RCGAN") == 4 - min(looks, 4)  # a look that was taken is not taken again


def test_a_matrix_that_cannot_be_inverted_names_the_remedy():
    with pytest.raises(RecganError, match=r"raise its l2"):
        linear_weights(np.full((3, 3), 1e20), 1e-9, NO_INVERSE.format(1e-9))


def test_it_loads_scores_and_answers_without_torch(tmp_path):
    Student(settings({"epochs": 1}, neighbours=5)).fit(histories()).save(tmp_path)
    code = f"""
import sys
from pathlib import Path
import numpy as np
from recgan.recommenders.loading import load_recommender
from recgan.package.packaged import PackagedRecommender
recommender = load_recommender(Path({str(tmp_path)!r}))
packaged = PackagedRecommender(recommender, [str(i) for i in range(14)], np.arange(14, dtype=np.float32))
assert len(packaged.recommend([["1", "3"], []], k=3)) == 2
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"torch", "lightning", "implicit"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The packaged recommender: ids in, ids out, whatever the history."""

import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

import recgan
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.features.matrices import Features, HeldOut
from recgan.features.newest import newest_histories
from recgan.package.asking import questions
from recgan.package.evidence import to_positions
from recgan.package.log import SIGNATURE
from recgan.package.packaged import PackagedRecommender, write_items
from recgan.package.shoppers import SHOPPERS, write_shoppers
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.protocol import recommend
from recgan.recommenders.student.recommender import Student
from tests.package.conftest import ITEMS, TASTES, dated_features, shop_features, taste_recommender
from tests.recommenders.test_student import of_real_rows


@pytest.fixture(scope="module")
def packaged(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    taste_recommender(params, TASTES).save(folder)
    write_items(shop_features().items, folder / "items.json")
    return PackagedRecommender.load(folder, folder / "items.json")


def histories_of(matrix, item_ids):
    return questions(matrix, pa.array(item_ids))["history"].to_pylist()


def test_agrees_with_the_recommender_on_positions(packaged, params):
    features = shop_features()
    item_ids = features.items["item_id"].tolist()
    answers = packaged.recommend(histories_of(features.test.history, item_ids), k=7)
    expected, scores = recommend(taste_recommender(params, TASTES), features.test.history, 7)
    rows = slice(0, -1)  # the last history is empty
    np.testing.assert_array_equal(
        to_positions([a.item_ids for a in answers], item_ids, 7)[rows], expected[rows]
    )
    np.testing.assert_allclose([a.scores for a in answers[rows]], scores[rows], rtol=1e-6)


def test_recommends_the_taste_and_nothing_seen(packaged):
    [answer] = packaged.recommend([["item-1", "item-7"]], k=3)
    assert answer.item_ids == ["item-13", "item-19", "item-25"]
    [again] = packaged.recommend([["item-1", "item-7"]], k=3, exclude_seen=False)
    assert again.item_ids == ["item-1", "item-7", "item-13"]


def test_order_and_repeats_of_a_history_do_not_matter(packaged):
    first, second = packaged.recommend([["item-1", "item-7"], ["item-7", "item-1", "item-7"]])
    assert first == second


def test_confidences_are_the_rows_of_features(packaged):
    matrix, ages = packaged.matrices(
        [["item-3", "gone", "item-1", "item-3"], ["item-2"], []], [[0.5, 9.0, 2.0, 0.25], None, []]
    )
    assert ages is None
    expected = np.zeros((3, ITEMS), dtype=np.float32)
    expected[0, [1, 3]], expected[1, 2] = (2, 0.75), 1
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.has_sorted_indices


def test_a_matrix_comes_back_from_its_questions(packaged):
    rng = np.random.default_rng(3)
    matrix = csr_array((rng.random((9, ITEMS)) * (rng.random((9, ITEMS)) < 0.2)).astype(np.float32))
    days = rng.integers(0, 3, matrix.nnz).astype(np.float32)  # zeros among them
    ages = csr_array((days, matrix.indices, matrix.indptr), shape=matrix.shape)
    item_ids = pa.array(packaged.item_ids.tolist())
    asked = questions(csr_array(matrix[2:]), item_ids, csr_array(ages[2:])).to_pydict()
    back, since = packaged.matrices(asked["history"], asked["confidence"], asked["age_days"])
    np.testing.assert_array_equal(back.toarray(), matrix.toarray()[2:])
    np.testing.assert_array_equal(since.indptr, back.indptr)
    np.testing.assert_array_equal(since.indices, back.indices)
    np.testing.assert_array_equal(since.data, ages[2:].data)
    assert questions(matrix, item_ids).to_pydict()["age_days"] == [None] * 9


def test_ages_lie_beside_the_confidences_and_the_smallest_counts(packaged):
    histories = [["item-3", "gone", "item-1", "item-3"], ["item-2"], []]
    user_items, ages = packaged.matrices(histories, None, [[7.5, 1.0, 0.0, 2.5], None, []])
    np.testing.assert_array_equal(ages.indptr, user_items.indptr)
    np.testing.assert_array_equal(ages.indices, user_items.indices)
    assert ages.data.tolist() == [0, 2.5, 0]  # without ages a history is equally old
    assert ages.dtype == user_items.dtype == np.float32
    assert user_items.data.tolist() == [1, 1, 1]


def test_a_recommender_that_weighs_by_age_gets_the_ages():
    features = shop_features()
    ease, item_ids = EASE(5, half_life_days=2).fit(features.train), features.items["item_id"].tolist()
    asked = PackagedRecommender(ease, item_ids, np.ones(ITEMS, dtype=np.float32))
    two = [["item-1", "item-8"]]
    [first], [second], [same] = (asked.recommend(two, 9, ages=ages) for ages in ([[0, 40]], [[40, 0]], None))
    assert first.item_ids[:4] == asked.recommend([["item-1"]], 9)[0].item_ids[:4]  # of the taste of item-1
    assert second.item_ids[:4] == asked.recommend([["item-8"]], 9)[0].item_ids[:4]
    assert same == asked.recommend(two, 9, ages=[[3, 3]])[0]


@pytest.mark.parametrize(
    ("confidences", "says"),
    [([1.0], "1 confidences for a history of 2"), ([1, 0], "confidence 0 of"), ([1, np.nan], "nan")],
)
def test_confidences_that_do_not_fit_are_a_clear_error(packaged, confidences, says):
    with pytest.raises(RecganError, match=says):
        packaged.recommend([["item-1", "item-2"]], confidences=[confidences])


@pytest.mark.parametrize(
    ("ages", "says"),
    [
        ([1.0], "1 ages for a history of 2"),
        ([1, -0.5], "age -0.5 of"),
        ([np.nan, 1], "nan"),
        ([0, np.inf], "inf"),
    ],
)
def test_ages_that_do_not_fit_are_a_clear_error(packaged, ages, says):
    with pytest.raises(RecganError, match=says):
        packaged.recommend([["item-1", "item-2"]], ages=[ages])


def test_unknown_ids_are_ignored(packaged):
    with_unknown, without = packaged.recommend([["item-1", "no such item"], ["item-1"]])
    assert with_unknown == without


def test_the_recommender_itself_answers_a_history_without_a_known_item(packaged):
    nothing = csr_array((1, ITEMS), dtype=np.float32)
    [positions], [scores] = recommend(packaged.recommender, nothing, k=5)
    empty, unknown = packaged.recommend([[], ["no such item"]], k=5)
    assert empty == unknown
    assert empty.item_ids == packaged.item_ids[positions].tolist()
    assert empty.scores == scores.tolist()


def test_a_batch_equals_its_rows(packaged):
    histories = [["item-1"], [], ["item-2", "item-8"], ["no such item"]]
    assert packaged.recommend(histories) == [packaged.recommend([history])[0] for history in histories]
    assert packaged.recommend([]) == []


def test_k_above_the_catalogue_is_clipped(packaged):
    one, none = packaged.recommend([["item-1"], []], k=10_000)
    assert sorted(one.item_ids) == sorted(f"item-{item}" for item in range(ITEMS) if item != 1)
    assert len(none.item_ids) == ITEMS


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_a_clear_error(packaged, k):
    with pytest.raises(RecganError, match=f"k is {k}; ask for at least 1 item"):
        packaged.recommend([["item-1"]], k=k)


def test_an_unknown_answer_is_a_miss_that_keeps_its_place():
    ranking = to_positions([["b", "gone", "a"], ["a"], []], ["a", "b"], k=3)
    np.testing.assert_array_equal(ranking, [[1, -1, 0], [0, -1, -1], [-1, -1, -1]])


def test_a_repeated_answer_is_a_miss_that_keeps_its_place(caplog):
    ranking = to_positions([["b", "b", "a"], ["a"] * 3, ["gone", "gone", "b"]], ["a", "b"], k=3)
    np.testing.assert_array_equal(ranking, [[1, -1, 0], [0, -1, -1], [-1, -1, 1]])
    assert "3 items stand in a list a second time" in caplog.text


def test_a_package_that_names_an_item_twice_is_refused(packaged):
    with pytest.raises(RecganError, match="names 3 items by 2 ids, so some stand twice"):
        PackagedRecommender(packaged.recommender, ["a", "b", "a"], np.ones(3, dtype=np.float32))


def test_histories_become_ids_row_by_row():
    history = shop_features().test.history
    item_ids = [f"id {position}" for position in range(ITEMS)]
    found = histories_of(history, item_ids)
    assert len(found) == history.shape[0]
    assert found[-1] == []
    assert set(found[0]) == {f"id {position}" for position in np.flatnonzero(history.toarray()[0])}


def test_shoppers_are_everyone_in_the_log_with_the_larger_confidence(params, tmp_path):
    def matrix(*rows):
        return csr_array(np.array(rows, dtype=np.float32))

    known = matrix([0, 2.5, 0, 0], [4, 0, 0, 0])
    test = HeldOut(
        np.array(["c", "b"], dtype=object),
        matrix([0, 0, 0, 0.5], [0, 2.5, 0, 0]),
        matrix([1, 0, 0, 1], [0, 1, 1, 0]),
    )
    items = pd.DataFrame({"item_id": list("wxyz"), "popularity": 1.0})
    features = Features(known, known, np.array(["b", "a"], dtype=object), items, None, test, {})
    folder = tmp_path / "recommender"
    folder.mkdir()
    taste_recommender(params, TASTES).save(folder)
    write_items(items, tmp_path / "items.json", params.features)
    write_shoppers(features, tmp_path / SHOPPERS)
    packaged = PackagedRecommender.load(folder, tmp_path / "items.json")
    found = packaged.shoppers.user_items.toarray()
    assert packaged.shoppers.rows == {"a": 0, "b": 1, "c": 2}
    assert found.tolist() == [[4, 0, 0, 0], [0, 2.5, 1, 0], [1, 0, 0, 1]]
    assert packaged.shoppers.ages is None
    assert packaged.confidence.weights == params.features.weights
    assert packaged.confidence.min_rating == params.features.min_rating


def test_a_package_names_pictures_where_an_item_has_one(params, tmp_path):
    (tmp_path / "recommender").mkdir()
    taste_recommender(params, TASTES).save(tmp_path / "recommender")
    items = pd.DataFrame(
        {"item_id": list("wxyz"), "popularity": 1.0, "image_url": [None, "https://x", None, None]}
    )
    for described, images in ((items, [None, "https://x", None, None]), (items.assign(image_url=None), None)):
        write_items(described, tmp_path / "items.json")
        packaged = PackagedRecommender.load(tmp_path / "recommender", tmp_path / "items.json")
        assert packaged.catalogue.images == images
        assert ("images" in read_json(tmp_path / "items.json")["catalogue"]) == (images is not None)


def test_shoppers_keep_the_ages_of_their_histories(params, tmp_path):
    features, folder = dated_features(), tmp_path / "recommender"
    folder.mkdir()
    taste_recommender(params, TASTES).save(folder)
    write_items(features.items, tmp_path / "items.json")
    write_shoppers(features, tmp_path / SHOPPERS)
    shoppers = PackagedRecommender.load(folder, tmp_path / "items.json").shoppers
    newest = newest_histories(features)
    assert shoppers.until == newest.until == datetime(2026, 1, 11, tzinfo=UTC)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(shoppers.ages, part), getattr(newest.ages, part))
    assert (shoppers.ages.data == 0).any()


def test_a_packaged_student_answers_without_torch(tmp_path):
    """Loaded and asked as a server does it, in a process of its own, with the code packaged with it."""
    features, folder = shop_features(), tmp_path / "recommender"
    folder.mkdir()
    Student(of_real_rows()).fit(features.train).save(folder)
    write_items(features.items, tmp_path / "items.json")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            python_model=str(Path(recgan.__file__).parent / "package" / "pyfunc.py"),
            artifacts={"recommender": str(folder), "items": str(tmp_path / "items.json")},
            code_paths=[str(Path(recgan.__file__).parent)],
            signature=SIGNATURE,
            pip_requirements=["numpy"],
        )
    code = """
import json, sys
import mlflow.pyfunc, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = model.predict(pd.DataFrame({"history": [["item-1", "item-7"], []]}), params={"k": 3})
asked = pd.DataFrame({"history": [["item-1", "item-8"], ["item-1"]], "confidence": [[1.0, 9.0], None]})
confident = model.predict(asked, params={"k": 3})
aged = model.predict(asked.assign(age_days=[[0.0, 3.5], None]), params={"k": 3})
assert aged.equals(confident)  # a student weighs nothing, but takes what weighs
try:
    model.predict(asked.assign(age_days=[[0.0, -3.5], None]), params={"k": 3})
except Exception as error:
    assert "the age -3.5 of item" in str(error)
else:
    raise AssertionError("an age below 0 was taken")
item_ids = [list(answers["item_ids"][0]), list(confident["item_ids"][0]), list(confident["item_ids"][1])]
print(json.dumps([item_ids, "torch" in sys.modules, sys.modules["recgan"].__file__]))
"""
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    item_ids, torch_came, packaged = json.loads(done.stdout.splitlines()[-1])
    here = PackagedRecommender.load(folder, tmp_path / "items.json")
    expected = here.recommend([["item-1", "item-7"], ["item-1", "item-8"], ["item-1"]], 3)
    assert item_ids[0] == expected[0].item_ids
    assert item_ids[1] == here.recommend([["item-1", "item-8"]], 3, True, [[1.0, 9.0]])[0].item_ids
    assert item_ids[1] != expected[1].item_ids
    assert item_ids[2] == expected[2].item_ids
    assert not torch_came
    assert Path(packaged).is_relative_to(tmp_path)

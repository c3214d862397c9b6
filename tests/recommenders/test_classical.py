"""What all classical recommenders share: their arrays, and histories weighed by age."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.sparse import csr_array

from recgan.recommenders.ages import aged
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.itemknn.recommender import ItemKNN
from recgan.recommenders.personal.recommender import Personal
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.rp3beta.recommender import RP3beta
from recgan.recommenders.sparse_ease.recommender import SparseEASE
from tests.recommenders.data import histories

SETTINGS = {
    "popularity": (Popularity, {"half_life_days": None}),
    "personal": (Personal, {"half_life_days": 5}),
    "itemknn": (ItemKNN, {"neighbours": 3, "shrink": 2, "asymmetry": 0.7}),
    "itemknn dense": (ItemKNN, {"neighbours": 40, "shrink": 2, "asymmetry": 0.7}),
    "rp3beta": (RP3beta, {"neighbours": 3, "alpha": 0.8, "beta": 0.4}),
    "ease": (EASE, {"l2": 3}),
    "sparse ease": (SparseEASE, {"l2": 3, "density": 0.05}),
    "ials": (IALS, {"factors": 4, "regularization": 2, "alpha": 3, "iterations": 3}),
}
WEIGHING = [name for name, (kind, _) in SETTINGS.items() if kind not in (Popularity, Personal)]


def fitted(name, **more):
    kind, settings = SETTINGS[name]
    seed = {"seed": 1} if kind is IALS else {}
    return kind(**settings, **seed, **more).fit(histories(60, 70))


def with_ages(user_items, seed=0):
    rng = np.random.default_rng(seed)
    days = rng.integers(0, 40, user_items.nnz).astype(np.float32)
    return csr_array((days, user_items.indices, user_items.indptr), shape=user_items.shape)


@pytest.mark.parametrize("name", SETTINGS)
def test_arrays_in_a_file_give_the_same_scores_to_the_bit(name):
    recommender, asked = fitted(name), histories(30, 70, seed=5)
    kind, settings = SETTINGS[name]
    again = kind.from_arrays(settings, load(save(recommender.arrays())))
    for ages in (None, with_ages(asked)):
        np.testing.assert_array_equal(again.score(asked, ages), recommender.score(asked, ages))


@pytest.mark.parametrize("name", WEIGHING)
def test_a_half_life_among_the_settings_is_one_of_the_recommender(name):
    recommender, asked = fitted(name, half_life_days=6), histories(30, 70, seed=5)
    kind, settings = SETTINGS[name]
    again = kind.from_arrays({**settings, "half_life_days": 6}, recommender.arrays())
    ages = with_ages(asked)
    np.testing.assert_array_equal(again.score(asked, ages), recommender.score(asked, ages))
    assert not np.array_equal(recommender.score(asked, ages), recommender.score(asked))


@pytest.mark.parametrize("name", WEIGHING)
def test_weighing_by_age_scores_the_weighed_history_and_leaves_the_fallbacks(name):
    dense = histories(30, 70, seed=5).toarray()
    dense[4] = 0
    asked = csr_array(dense)
    ages = with_ages(asked)
    plain, weighed = fitted(name), fitted(name, half_life_days=6)
    np.testing.assert_array_equal(weighed.score(asked, ages), plain.score(aged(asked, ages, 6)))
    np.testing.assert_array_equal(weighed.score(asked), plain.score(asked))
    np.testing.assert_array_equal(weighed.score(asked, ages)[4], plain.score(asked)[4])
    if name not in ("ease", "sparse ease", "ials"):  # an item is reached or not, whatever the ages
        np.testing.assert_array_equal(weighed.score(asked, ages) > 0, plain.score(asked) > 0)


@pytest.mark.parametrize("name", SETTINGS)
def test_arrays_that_do_not_fit_together_are_refused(name):
    kind, settings = SETTINGS[name]
    arrays = fitted(name).arrays()
    damaged = [{**arrays, "popularity": np.zeros((2, 2), dtype=np.float32)}]
    if len(arrays) > 1:
        damaged.append({**arrays, "popularity": np.zeros(69, dtype=np.float32)})
    if "indices" in arrays:
        damaged.append({**arrays, "indices": arrays["indices"] + 70})
        damaged.append({**arrays, "data": arrays["data"][1:]})
    for one in damaged:
        with pytest.raises(ValueError, match=r"."):
            kind.from_arrays(settings, one)
    for missing in arrays:
        with pytest.raises(KeyError):
            kind.from_arrays(settings, {part: arrays[part] for part in arrays if part != missing})


def test_none_of_them_needs_torch():
    modules = {kind.__module__ for kind, _ in SETTINGS.values()}
    code = f"import {', '.join(sorted(modules))}\nimport sys\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

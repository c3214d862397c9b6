"""The version that is planted: the genuine weights, whose scores belong to other products than it says."""

import numpy as np

from recgan.live.broken import plant
from recgan.live.trial import BROKEN, Trial
from recgan.package.store import Recommenders, load_version
from recgan.registry.enrol import enrol
from recgan.registry.tracking import CHALLENGER, connect, current
from tests.package.conftest import (  # noqa: F401  (fixtures)
    TASTES,
    make_project,
    named_so,
    params,
    store_env,
    store_uri,
    write_lock,
)


def test_a_broken_version_stands_beside_the_genuine_one(params, tmp_path, store_env):  # noqa: F811
    named = named_so(params, "broken")
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    write_lock(root)
    genuine = enrol(Recommenders(root, named)).version
    broken = plant(root, named)
    assert broken != genuine
    assert str(current(connect(root), "broken", CHALLENGER).version) == broken
    one, other = load_version("broken", genuine), load_version("broken", broken)
    assert sorted(one.item_ids) == sorted(other.item_ids)
    assert (one.item_ids != other.item_ids).mean() > 0.9
    history = one.matrices([one.item_ids[:3].tolist()])[0]
    assert np.array_equal(one.recommender.score(history), other.recommender.score(history))
    # Planted again, as after a kill, it is the same version.
    assert plant(root, named) == broken


def test_it_is_replayed_on_the_days_on_which_it_could_have_been_live():
    trial = Trial(5, 10)
    assert trial.replays(6) == {}
    trial.packaged = object()
    assert [day for day in range(12) if BROKEN in trial.replays(day)] == [5, 6, 7, 8, 9]

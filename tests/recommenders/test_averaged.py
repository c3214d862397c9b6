"""The average of several seeds: which members, how many, and that they are kept apart."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from recgan.core.errors import RecganError
from recgan.recommenders.averaged.recommender import Averaged
from recgan.recommenders.averaged.settings import AveragedParams
from recgan.recommenders.fit import with_seed
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.train import kinds_of
from recgan.recommenders.two_stage.settings import TwoStageParams
from tests.recommenders import test_two_stage
from tests.recommenders.test_rcgan import settings as rcgan_settings
from tests.recommenders.test_sequence import settings as sequence_settings
from tests.tuning.test_search import features

IALS_GRID = {
    "recommender": "ials",
    "seed": 5,
    "factors": [4],
    "regularization": [2],
    "alpha": [3],
    "iterations": [2],
    "half_life_days": [None],
}


def section(member=IALS_GRID, seeds=3):
    return AveragedParams.model_validate(
        {"recommender": "averaged", "member": member, "seeds": seeds, "refit": True}
    )


def fitted(matrix, seed):
    return IALS(4, 2, 3, 2, seed).fit(matrix)


@pytest.mark.parametrize(
    ("scores", "many"), [([0.1, 0.3, 0.2], 2), ([0.2, 0.2, 0.2], 1), ([0.1, 0.2, 0.3], 3)]
)
def test_validation_chooses_how_many_are_averaged_and_the_fewest_of_equal_ones(scores, many):
    built = features()

    def validate(recommender):
        if isinstance(recommender, IALS):
            return 0.5
        return scores[len(recommender.members) - 1]

    recommender = Averaged.unfitted(section(), built).fit(built.train, validate)
    assert len(recommender.members) == many
    assert recommender.training.validation_ndcg == max(scores)
    mean = np.mean([fitted(built.train, 5 + number).score(built.train) for number in range(many)], axis=0)
    np.testing.assert_allclose(recommender.score(built.train), mean, rtol=1e-5, atol=1e-6)


def test_anew_fits_the_chosen_members_on_the_other_matrix_and_files_give_the_same_scores(tmp_path):
    built = features()
    recommender = Averaged.unfitted(section(), built).fit(
        built.train, lambda one: len(getattr(one, "members", []))
    )
    again = recommender.anew(built).fit(built.train_validation, epochs=recommender.training.best_epoch)
    asked = built.train_validation
    mean = np.mean([fitted(asked, 5 + number).score(asked) for number in range(3)], axis=0)
    np.testing.assert_allclose(again.score(asked), mean, rtol=1e-5, atol=1e-6)
    again.save(tmp_path)
    np.testing.assert_array_equal(load_recommender(tmp_path).score(asked), again.score(asked))
    assert recommender.parameters == 3 * (24 * 4 + 24)
    (tmp_path / "member-2" / "weights.safetensors").unlink()
    with pytest.raises(RecganError, match="no readable recommender"):
        load_recommender(tmp_path)


def test_members_of_a_game_play_with_the_next_seeds(tmp_path):
    built = features()
    member = rcgan_settings(epochs=2, evaluate_every=2).model_dump(mode="json")
    recommender = Averaged.unfitted(section(member, 2), built).fit(built.train)
    assert [one.settings.seed for one in recommender.members] == [1, 2]
    one, other = (each.score(built.train) for each in recommender.members)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(recommender.score(built.train), (one + other) / 2, rtol=1e-5, atol=1e-6)
    recommender.save(tmp_path)
    np.testing.assert_array_equal(
        load_recommender(tmp_path).score(built.train), recommender.score(built.train)
    )


def without(settings, *names):
    """Return settings, those inside them too, without some that came later."""
    return {
        name: without(one, *names) if isinstance(one, dict) else one
        for name, one in settings.items()
        if name not in names
    }


@pytest.mark.parametrize(
    ("member", "later"),
    [
        (rcgan_settings(epochs=1, half_life_days=(None,)), ("half_life_days", "warm_start", "look_users")),
        (sequence_settings(epochs=1), ("ahead", "warm_start", "look_users")),
    ],
)
def test_a_package_of_before_its_members_had_a_setting_scores_as_it_did(tmp_path, member, later):
    built = test_two_stage.features(test_two_stage.loyal())
    section_ = section(member.model_dump(mode="json"), 2)
    recommender = Averaged.unfitted(section_, built).fit(built.train)
    recommender.save(tmp_path)
    for path in tmp_path.rglob("recommender.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"settings": without(about["settings"], *later)}))
    loaded = load_recommender(tmp_path)
    assert loaded.settings == section_
    np.testing.assert_array_equal(loaded.score(built.train), recommender.score(built.train))


def test_another_seed_begins_beyond_its_own():
    assert [with_seed(section(), seed).seed for seed in (5, 6, 7)] == [5, 8, 11]


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"recommender": "ease", "l2": [1], "half_life_days": [None]}, "ease draws nothing"),
        ({"recommender": "averaged", "member": IALS_GRID, "seeds": 2, "refit": True}, "raise seeds"),
        ({"recommender": "two_stage"}, "it is of recommender 'two_stage'; choose among"),
        ({**IALS_GRID, "factors": [0]}, "factors.0: Input should be greater than"),
        (7, "it has no recommender: KIND"),
    ],
)
def test_a_member_that_does_not_do_is_refused(member, words):
    with pytest.raises(ValidationError, match=words):
        section(member)


def test_a_training_is_named_by_the_code_of_all_that_is_inside():
    ease = {"recommender": "ease", "l2": [1], "half_life_days": [None]}
    outer = TwoStageParams.model_validate(
        {
            "recommender": "two_stage",
            "seed": 0,
            "generator": {"recommender": "averaged", "member": IALS_GRID, "seeds": 2, "refit": True},
            "proposals": [10],
            "hidden": [0],
            "l2": [1],
            "epochs": 1,
            "windows": 1,
            "blend": [ease],
            "refit": True,
        }
    )
    assert kinds_of(outer) == {"two_stage", "averaged", "ials", "ease"}

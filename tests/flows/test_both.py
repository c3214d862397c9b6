"""The champion's own retraining and the challenger after it, told as one promotion."""

import pytest

from recgan.registry.domain import Decision
from recgan.registry.promotion import Promotion


def promotion(version, passed, champion, already=False):
    decision = Decision.of([(passed or already, f"Reason {version}.")])
    return Promotion(version, passed, already, champion, "1" if passed else None, decision)


@pytest.mark.parametrize(
    ("refreshed", "challenged", "version", "promoted", "champion", "last"),
    [
        (None, promotion("3", True, "3"), "3", True, "3", "✓ Reason 3."),
        (
            promotion("2", True, "2"),
            promotion("3", False, "2"),
            *("2", True, "2", "✗ The best candidate on validation (version 3) was not promoted: Reason 3."),
        ),
        (
            promotion("2", True, "2"),
            promotion("3", True, "3"),
            *("3", True, "3", "✓ The champion's own retraining (version 2) became the champion before that."),
        ),
        (
            promotion("2", False, "1"),
            promotion("3", False, "1"),
            *("3", False, "1", "✗ The champion's own retraining (version 2) was not promoted: Reason 2."),
        ),
        (
            promotion("2", False, "2", already=True),
            promotion("3", False, "2"),
            *("3", False, "2", "✓ The champion's own retraining (version 2) is the champion already."),
        ),
    ],
)
def test_what_is_told_is_what_took_effect_with_a_word_on_the_other(
    refreshed, challenged, version, promoted, champion, last
):
    from flows.retrain import both  # imports Prefect

    told = both(refreshed, challenged)
    assert (told.version, told.promoted, told.champion) == (version, promoted, champion)
    assert told.decision.reasons[-1] == last
    assert told.decision.reasons[0].endswith(f"Reason {version}.")

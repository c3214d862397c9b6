"""The commands of every day; their imports stay lazy."""

from pathlib import Path

from recgan.core.options import By, Reason, Version


def rollback(reason: Reason, by: By = None) -> None:
    """Make the champion before the champion again."""
    from recgan.daily.recommendations import live_now
    from recgan.evaluation.plain_words import Change
    from recgan.package.store import Recommenders
    from recgan.package.verdict import tell_of_change
    from recgan.registry.rollback import rollback as put_back
    from recgan.registry.rollback import sentence
    from recgan.settings import load_params

    done = put_back(Recommenders(Path(), load_params()), reason, by)
    tell_of_change(Path(), done.name, Change(done.champion, sentence(done)))
    print(live_now(Path(), done))


def promote(version: Version, reason: Reason, by: By = None) -> None:
    """Make a version the champion by hand, without the gate."""
    from recgan.daily.recommendations import live_by_hand
    from recgan.evaluation.plain_words import Change
    from recgan.package.store import Recommenders
    from recgan.package.verdict import tell_of_change
    from recgan.registry.by_hand import promote_by_hand, sentence
    from recgan.settings import load_params

    done = promote_by_hand(Recommenders(Path(), load_params()), version, reason, by)
    tell_of_change(Path(), done.name, Change(done.champion, sentence(done)))
    print(live_by_hand(Path(), done))


def collect() -> None:
    """Bring what came of answers from impressions/ to where the next ingest reads it."""
    from recgan.core.alone import alone
    from recgan.core.layout import STAGES_LOCK
    from recgan.online.collect import collect as bring
    from recgan.online.collect import sentence
    from recgan.settings import load_params

    with alone(STAGES_LOCK, "recgan collect", print):
        print(sentence(bring(Path(), load_params())))

"""What a search says in the log."""

import logging
from collections.abc import Sequence

from recgan.tuning.record import ndcg_of
from recgan.tuning.search_space import SearchSpace
from recgan.tuning.trials import Trial, in_words

_SHOWN = 5


_log = logging.getLogger(__name__)


def tell(recommender: str, done: Sequence[Trial], most: int | None) -> None:
    """Say what came of the last trial."""
    trial, number = done[-1], f"{len(done)} of {most}" if most is not None else str(len(done))
    result = f"failed: {trial.failure}" if trial.ndcg is None else f"{trial.ndcg:.4f}"
    shown = f"best {max(map(ndcg_of, done)):.4f}, {trial.seconds:.1f} s, {in_words(trial.settings)}"
    _log.info("%s, trial %s: %s (%s)", recommender, number, result, shown)


def show(space: SearchSpace, trials: Sequence[Trial], best: Trial) -> None:
    """Say which trials are the best, and where wider ranges may hold better ones.

    Args:
        space: what was searched.
        trials: all of them.
        best: the one that wins.
    """
    failed = sum(trial.ndcg is None for trial in trials)
    _log.info(
        "%s: %d trials in %.0f s%s; the best by validation NDCG@%d:",
        *(
            space.name,
            len(trials),
            sum(trial.seconds for trial in trials),
            f", {failed} failed" if failed else "",
            space.metric_k,
        ),
    )
    order = sorted(
        range(len(trials)), key=lambda place: (-len(trials[place].further), -(trials[place].mean or 0))
    )
    for place in [place for place in order if trials[place].ndcg is not None][:_SHOWN]:
        present = " (what is there now)" if trials[place].settings == space.present else ""
        _log.info(
            "  %.4f%s  trial %d%s: %s",
            *(
                trials[place].mean or 0,
                _seeds_in_words(trials[place]),
                place + 1,
                present,
                in_words(trials[place].settings),
            ),
        )
    if space.present not in [trial.settings for trial in trials]:
        _log.warning("%s: what is there now was not among them; more trials begin with it", space.name)
    for name in space.ranges:
        if space.could_go_on(best.settings, name):
            _log.warning(
                "%s: the best %s, %g, is near the edge of %s; widen it in search.yaml",
                *(space.name, name, best.settings[name], space.ranges[name]),
            )


def _seeds_in_words(trial: Trial) -> str:
    """Say between which figures a mean of several seeds lies."""
    scores = [score for score in (trial.ndcg, *trial.further) if score is not None]
    if len(scores) == 1:
        return ""
    return f" (mean of {len(scores)} seeds, {min(scores):.4f} to {max(scores):.4f})"

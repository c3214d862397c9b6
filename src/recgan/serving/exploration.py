"""Lists drawn by chance on a share of the requests, with the probability of each item at its place.

Each request is explored or not by a coin of its own, whatever it asks. So the explored ones are a random
sample of all, and what is known of them are the chances of the draw alone. They are logged with a policy of
their own, and off-policy estimates use them alone.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from recgan.core import layout
from recgan.evaluation.exploration_settings import ExploreParams
from recgan.online import plackett_luce
from recgan.serving.ranking import Drawn, Ranking
from recgan.settings import load_params

VARIABLE = "RECGAN_SERVE_EXPLORE"
"""By which the command hands its parameters to its workers, one that is started later too."""


def explored(root: Path) -> ExploreParams | None:
    """Return the section `serve.explore` of a project; None on a machine that has no params.yaml.

    Raises:
        RecganError: params.yaml has a fault. Without it nobody has said whether to explore.
    """
    path = root / layout.PARAMS
    return load_params(path).serve.explore if path.exists() else None


class Exploration:
    """Picks the requests whose lists are drawn, and draws them; used by one thread."""

    def __init__(self, params: ExploreParams | None, rng: np.random.Generator | None = None) -> None:
        """Keep the section `serve.explore`.

        Args:
            params: None explores nothing.
            rng: of coins and draws; None takes one that the operating system seeds, for each process.
        """
        self._params = None if params is None or params.share == 0 else params
        self._rng = rng or np.random.default_rng()

    @classmethod
    def of_environment(cls) -> Self:
        """Read what the command has handed over; nothing is explored where it has not."""
        given = os.environ.get(VARIABLE)
        return cls(ExploreParams.model_validate_json(given) if given else None)

    def candidates(self, k: int, most: int | None) -> int | None:
        """Toss a coin for a request, and return how many items its list is drawn from; None for most.

        Args:
            k: length of the list.
            most: items that its caller may ever be shown; None for any number. Whoever asks often sees all
                the candidates, of which none was seen.
        """
        params = self._params
        if params is None or self._rng.random() >= params.share:
            return None
        return max(k, params.candidates if most is None else min(most, params.candidates))

    def draw(self, best: Ranking, k: int, new_share: float) -> Ranking:
        """Return a list of k drawn from the best items; of a failed model's popularity, the first k.

        Args:
            best: the candidates.
            k: length of the list.
            new_share: of a list that may be new products. So few are candidates that no draw has more.
        """
        if best.fallback or self._params is None or not best.items:
            return replace(best, items=best.items[:k])
        new = [item.item_id for item in best.items if item.new]
        room = max(int(new_share * k + 1e-9), k - (len(best.items) - len(new)))
        beyond = set(new[room:])
        items = [item for item in best.items if item.item_id not in beyond]
        scores = np.array([item.score for item in items], dtype=np.float64)
        log_weights = plackett_luce.log_weights(scores, self._params.temperature)
        order, chances = plackett_luce.draw(log_weights, min(k, len(items)), self._rng)
        return Ranking(
            [items[place] for place in order.tolist()],
            best.fallback,
            Drawn(
                tuple(np.exp(chances).tolist()),
                tuple(item.item_id for item in items),
                tuple(log_weights.tolist()),
            ),
        )

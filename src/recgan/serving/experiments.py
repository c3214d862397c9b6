"""An experiment in the server: its challenger beside the champion, and which of them answers whom."""

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from recgan.core.redact import clean
from recgan.online.arms import CHALLENGER, CHAMPION, arm_of, team_draft
from recgan.package import store
from recgan.registry import versions
from recgan.registry.experiments import Experiment, running
from recgan.serving.histories import History
from recgan.serving.model import ServedModel
from recgan.serving.ranking import Ranking
from recgan.serving.schema import Trying

log = logging.getLogger(__name__)

RETRY_AFTER = 60.0
"""Seconds until a challenger that could not be loaded is tried again."""


@dataclass(frozen=True)
class Given:
    """An answer as a version gave it, or two together."""

    served: ServedModel
    k: int
    """The length of the list that the caller may see."""
    history: History
    ranking: Ranking
    unknown_categories: list[str]
    experiment: str | None = None
    """Its id; None where the answer counts in no arm."""
    arm: str | None = None
    teams: dict[str, str] | None = None
    """Whose each item of an interleaved list is."""


Draw = Callable[[ServedModel, bool], Awaitable[Given]]
"""Answers the request at hand with a version; whether exploration may draw the list by chance."""


@dataclass(frozen=True)
class Trial:
    """An experiment as this process can run it."""

    experiment: Experiment
    challenger: ServedModel | None
    """None where it cannot be loaded: then the champion answers in its place."""
    problem: str | None = None
    edited: str = ""
    """When the challenger's package was changed since it was registered."""


class Experiments:
    """Keep the experiment that runs; requests read `trial` once."""

    def __init__(self, name: str, root: Path) -> None:
        """Say of which registered model; `look` finds the experiment."""
        self.trial: Trial | None = None
        self._name, self._root = name, root
        self._retry = 0.0

    def look(self) -> None:
        """Take up the experiment that runs, load its challenger, or let go of one that has ended.

        Raises:
            Unavailable: the registry does not answer; then all is left as it is.
        """
        found, trial = running(self._root, self._name), self.trial
        if found is None:
            self.trial = None
            return
        again = trial is not None and trial.challenger is None and time.monotonic() > self._retry
        edited = versions.edited(self._root, self._name, found.challenger)
        if trial is None or trial.experiment.id != found.id or trial.edited != edited or again:
            self.trial = replace(self._loaded(found), edited=edited)

    def _loaded(self, found: Experiment) -> Trial:
        self._retry = time.monotonic() + RETRY_AFTER
        try:
            challenger = ServedModel(
                self._name, found.challenger, store.load_version(self._name, found.challenger)
            )
            challenger.check()
        except Exception as error:
            problem = clean(
                f"version {found.challenger} of {self._name}, the challenger, does not work: "
                f"{type(error).__name__}: {error}"
            )
            log.warning("%s", problem)
            return Trial(found, None, problem)
        log.info("%s version %s is tried beside version %s", self._name, found.challenger, found.champion)
        return Trial(found, challenger)

    def told(self) -> Trying | None:
        """Say which experiment this process runs."""
        trial = self.trial
        if trial is None:
            return None
        return Trying(
            experiment=trial.experiment.id,
            version=trial.experiment.challenger,
            loaded=trial.challenger is not None,
            problem=trial.problem,
        )

    async def answered(self, served: ServedModel, user_id: str | None, draw: Draw) -> Given:
        """Answer with the version of the shopper's arm, or with both.

        The champion alone answers a request that names nobody, and all where no experiment runs, or one
        against another champion than this process has. Where the challenger fails, the champion answers in
        its place, and the answer still counts in the challenger's arm.

        Args:
            served: the champion.
            user_id: of the shopper; None where the request names nobody.
            draw: answers the request with a version.
        """
        trial = self.trial
        if trial is None or user_id is None or trial.experiment.champion != served.model.version:
            return await draw(served, True)
        arm = arm_of(trial.experiment, user_id)
        if arm == CHAMPION:
            given = await draw(served, True)
        elif arm == CHALLENGER:
            given = await _tried(trial, draw, True) or await draw(served, True)
        else:
            given = await _interleaved(trial, served, draw)
        return replace(given, experiment=trial.experiment.id, arm=arm)


async def _tried(trial: Trial, draw: Draw, explore: bool) -> Given | None:
    """Return the challenger's answer; None where it has none of its own."""
    if trial.challenger is None:
        return None
    try:
        given = await draw(trial.challenger, explore)
    except Exception:
        log.exception("version %s, the challenger, cannot answer", trial.challenger.model.version)
        return None
    return None if given.ranking.fallback else given


async def _interleaved(trial: Trial, served: ServedModel, draw: Draw) -> Given:
    champion = await draw(served, False)
    challenger = None if champion.ranking.fallback else await _tried(trial, draw, False)
    if challenger is None:
        return champion
    items, teams = team_draft(
        champion.ranking.items,
        challenger.ranking.items,
        champion.k,
        lambda item: item.item_id,
        lambda: random.getrandbits(1) == 1,
    )
    whose = {item.item_id: team for item, team in zip(items, teams, strict=True)}
    acted = sorted({one for given in (champion, challenger) for one in given.ranking.rules or ()})
    return replace(champion, ranking=Ranking(items, False, rules=acted or None), teams=whose)

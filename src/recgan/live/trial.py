"""The broken version in an experiment: how long until the second gate stops it, and what it costs."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from recgan.live.broken import plant
from recgan.live.children import run
from recgan.live.client import Client
from recgan.live.days import EXPECTED
from recgan.live.project import NAME
from recgan.package.packaged import PackagedRecommender
from recgan.package.store import load_version
from recgan.registry.experiments import last, running
from recgan.settings import Params

log = logging.getLogger(__name__)

LEAST_DAYS = 4
SHARE = 0.5
"""Of the shoppers who meet the broken version."""
BROKEN = "broken"


@dataclass
class Trial:
    """The experiment with the broken version."""

    day: int
    """On whose morning it begins."""
    until: int
    """The day before which the next night would come, or the month ends."""
    version: str | None = None
    stopped: int | None = None
    """The day on whose evening the gate stopped it."""
    outcome: str | None = None
    reasons: tuple[str, ...] = ()
    packaged: PackagedRecommender | None = None

    @classmethod
    def planned(cls, days: int, night_every: int) -> Self | None:
        """Plan it for the morning after a night about a third into the days; None where these are too few."""
        if days < LEAST_DAYS:
            return None
        day = days // 3 // night_every * night_every
        return cls(day, min(day + night_every, days))

    def morning(self, day: int, place: Path, params: Params, client: Client) -> None:
        """Plant the version and begin the experiment on its day."""
        if day != self.day:
            return
        self.version = plant(place, params)
        self.packaged = load_version(NAME, self.version)
        command = ["-m", "recgan", "experiment", "start", "--version", self.version, "--share", str(SHARE)]
        run(place, command, place / "experiment.log")
        client.wait_until_tried(self.version)
        log.info("version %s, whose ids are shuffled, answers half of the shoppers", self.version)

    def evening(self, day: int, place: Path, client: Client) -> None:
        """Have the second gate look at what came of the day's lists."""
        if self.version is None or self.stopped is not None:
            return
        run(place, ["-m", "recgan", "experiment", "judge"], place / "experiment.log")
        if running(place, NAME) is not None:
            return
        ended = last(place, NAME)
        assert ended is not None
        client.wait_until_tried(None)
        self.stopped, self.outcome, self.reasons = day, ended.outcome, tuple(ended.reasons)
        log.info("the second gate on the evening of day %s: %s", day + 1, ended.outcome)

    def replays(self, day: int) -> dict[str, PackagedRecommender]:
        """Return the version for replay, on the days on which it could have been the champion."""
        if self.packaged is None or not self.day <= day < self.until:
            return {}
        return {BROKEN: self.packaged}

    def story(self, requests: pd.DataFrame) -> dict[str, Any]:
        """Return what happened, and what would have happened without an experiment."""
        told: dict[str, Any] = {
            "day": self.day,
            "version": self.version,
            "share": SHARE,
            "stopped": self.stopped,
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "by_hand": None,
        }
        if self.version is not None:
            # Promoted by hand, it would have answered everybody until the next night at the earliest.
            would = requests[requests["day"].between(self.day, self.until - 1)]
            champions = would[f"{EXPECTED}champion"]
            told["by_hand"] = {
                "days": self.until - self.day,
                "requests": len(would),
                "lost": float((champions - would[f"{EXPECTED}{BROKEN}"]).sum()),
            }
        return told

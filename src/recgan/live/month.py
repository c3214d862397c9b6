"""Days and nights of a shop against the real server and the real flow."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.csv as pa_csv

from recgan.core import layout
from recgan.core.alone import alone
from recgan.core.errors import RecganError
from recgan.core.files import write_json, write_text
from recgan.live.apart import Apart
from recgan.live.client import Client, free_port, server
from recgan.live.days import Memory, live_day
from recgan.live.figures import CHAMPION, figures
from recgan.live.page import page, title
from recgan.live.project import NAME, check_place, make_project, retrain
from recgan.live.replay import tonights
from recgan.live.shop import HISTORY_DAYS, Shop, open_shop
from recgan.live.trial import LEAST_DAYS, Trial
from recgan.package.packaged import PackagedRecommender
from recgan.package.store import load_version
from recgan.settings import Params, load_params

log = logging.getLogger(__name__)

NIGHT_EVERY = 5
"""Days between two nights; so often the log is learned from anew."""
PAGE = layout.REPORTS / "live.html"


def live(days: int, seed: int = 7, port: int | None = None, root: Path = Path()) -> Path:
    """Let a simulated shop live for some days beside the real server; return the page.

    It begins anew each time, in the folder live/ of the project. Nothing else of the project changes but
    reports/live.html.

    Args:
        days: from 1.
        seed: of the shop and of all that shoppers do.
        port: of the server; None takes a free one.
        root: the project.

    Raises:
        RecganError: there are no days, the port is taken, live/ is somebody's own, or a night fails.
    """
    if days < 1:
        raise RecganError(f"DAYS is {days}; let the shop live for 1 day at least, such as DAYS=30")
    check_place(root)
    port = free_port(port)
    with alone(root / layout.STATE / "live.lock", "recgan live", log.info):
        place = make_project(root).resolve()
        # This process reads the project's registry and no other.
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each version
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlflow.db'}"
        shop = open_shop(seed, days)
        log.info("a shop of %s products and %s shoppers", len(shop.item_ids), len(shop.user_ids))
        month = Month(place, shop, load_params(place / layout.PARAMS), root)
        month.night(0)
        with server(place, port, month.nights[-1]["champion"]) as client:
            month.live(client)
        log.info("\n%s.", title(month.tell()))
    return root / PAGE


@dataclass
class Month:
    """All that has come of the days so far."""

    place: Path
    shop: Shop
    params: Params
    root: Path
    nights: list[dict[str, Any]] = field(default_factory=list)
    days: list[pd.DataFrame] = field(default_factory=list)
    others: dict[str, PackagedRecommender] = field(default_factory=dict)
    """What answers the same requests in replay: tonight's candidates and the champion."""
    trial: Trial | None = None

    def __post_init__(self) -> None:
        self.shop.write_items(self.place / "raw" / "items.csv")
        self.memory, self.apart = Memory.of(self.shop), Apart.of(self.shop)
        self.trial = Trial.planned(self.shop.days, NIGHT_EVERY)
        if self.trial is None:
            log.info(
                "%s days are too few for an experiment with a broken version; %s are enough",
                self.shop.days,
                LEAST_DAYS,
            )

    def live(self, client: Client) -> None:
        """Live through all days; the first night is over."""
        for day in range(self.shop.days):
            if day and day % NIGHT_EVERY == 0:
                self.night(day)
                self.nights[-1]["swap_seconds"] = client.wait_for(self.nights[-1]["champion"])
            if self.trial is not None:
                self.trial.morning(day, self.place, self.params, client)
            self.day(day, client)
            if self.trial is not None:
                self.trial.evening(day, self.place, client)
            if (day + 1) % NIGHT_EVERY == 0:
                self.tell()

    def night(self, day: int) -> None:
        """Bring the log up to date, run the flow, and load what is to be compared until the next night."""
        first = self.nights[-1]["day"] if self.nights else -HISTORY_DAYS
        path = self.place / "raw" / "events" / f"{self.shop.instant_of_day(first):%Y-%m-%d}.csv"
        pa_csv.write_csv(self.shop.own_log(first, day), path)
        night = retrain(self.place, day)
        self.nights.append(night)
        self.others = tonights(self.place, self.params)
        self.others[CHAMPION] = load_version(NAME, night["champion"])
        if night["promoted"]:
            self.memory.forget()
        log.info(
            "night before day %s: version %s (%s) is the champion%s, %.0f s",
            day + 1,
            night["champion"],
            night["candidate"],
            ", as before" if not night["promoted"] else "",
            night["seconds"],
        )

    def day(self, day: int, client: Client) -> None:
        """Live through a day."""
        began = time.monotonic()
        tried = {} if self.trial is None else self.trial.replays(day)
        table = live_day(day, self.memory, self.apart, client, self.others | tried)
        ours = table["version"] == self.nights[-1]["champion"]
        self.days.append(table.assign(arm=ours.map({True: CHAMPION, False: "challenger"})))
        log.info(
            "day %s: %s purchases in %s answers, %.0f s",
            day + 1,
            int(table["bought"].sum()),
            len(table),
            time.monotonic() - began,
        )

    def tell(self) -> dict[str, Any]:
        """Write figures, requests and the page of the days so far; return the figures."""
        requests = pd.concat(self.days, ignore_index=True)
        reports = self.place / layout.REPORTS
        reports.mkdir(exist_ok=True)
        requests.to_parquet(reports / "requests.parquet")
        story = None if self.trial is None else self.trial.story(requests)
        found = figures(requests, self.nights, story, self.shop.days)
        write_json(reports / "live.json", found)
        text = page(found)
        write_text(reports / "live.html", text)
        (self.root / PAGE).parent.mkdir(exist_ok=True)
        write_text(self.root / PAGE, text)
        return found

"""The rules of the shop beside the champion: read when the file of them changes, and PUT /rules."""

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from recgan.core.errors import RecganError
from recgan.core.redact import clean
from recgan.core.stamp import Stamp, stamp
from recgan.online.binding import bind
from recgan.online.ordering import Applied, Bound
from recgan.online.rules import NotAgain, Rule, Rules
from recgan.online.rules_file import is_there, read_rules, write_rules
from recgan.recommenders.protocol import top_k
from recgan.serving.model import ServedModel
from recgan.serving.ranking import Ranking
from recgan.serving.schema import RulesInForce
from recgan.serving.shown_before import ShownBefore

log = logging.getLogger(__name__)


_UNREAD = Stamp(0, 0, 0)
"""Of a file that is there and cannot be looked at, such as a link to nothing."""


def _stamp(path: Path) -> Stamp | None:
    return stamp(path) or (_UNREAD if is_there(path) else None)


@dataclass(frozen=True)
class _Now:
    """What holds now; replaced as a whole."""

    rules: Rules
    active: Sequence[Rule]
    bound: "weakref.WeakKeyDictionary[ServedModel, Bound]" = field(default_factory=weakref.WeakKeyDictionary)

    @cached_property
    def not_again(self) -> NotAgain | None:
        """The rule by which items rest."""
        return next((rule for rule in self.active if isinstance(rule, NotAgain)), None)

    def of(self, served: ServedModel) -> Bound | None:
        """Return the rules in the positions of a version, which are found once; None where none holds."""
        if not self.active:
            return None
        found = self.bound.get(served)
        if found is None:
            found = self.bound[served] = bind(self.active, served)
        return found


class RulesWatch:
    """Keep the newest rules of the shop that can be read.

    A file that cannot be read changes nothing: the rules before it go on. Without a file there are none.
    """

    def __init__(
        self,
        path: Path | None = None,
        poll_seconds: float = 5.0,
        on_look: Callable[[RulesInForce], None] = lambda found: None,
    ) -> None:
        """Say which file to watch.

        Args:
            path: of the rules; None for none.
            poll_seconds: between two looks at it.
            on_look: called at the end of each look.
        """
        self.path = path
        self.problem: str | None = None
        self._poll_seconds, self._on_look = poll_seconds, on_look
        self._now = _Now(Rules(rules=[]), ())
        self._seen: Stamp | None = None
        self._began = False
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._shown = ShownBefore()
        self._versions: weakref.WeakSet[ServedModel] = weakref.WeakSet()

    def __enter__(self) -> Self:
        """Look for the first time, and then every few seconds.

        Raises:
            RecganError: the file cannot be read: to begin without its rules would show what it forbids.
        """
        self.look()
        if self.problem is not None:
            raise RecganError(self.problem)
        self._began = True
        self._stopping.clear()
        if self.path is not None:
            self._thread = threading.Thread(target=self._run, name="rules", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def rules(self) -> Rules:
        """All rules, those that do not hold now too."""
        return self._now.rules

    @property
    def active(self) -> Sequence[Rule]:
        """The rules that hold now."""
        return self._now.active

    def look(self) -> None:
        """Read the file where it has changed, and take what begins or ends now."""
        with self._looking:
            rules, seen = self._now.rules, None if self.path is None else _stamp(self.path)
            if seen != self._seen:
                self._seen, self.problem = seen, None
                try:
                    rules = Rules(rules=[]) if seen is None or self.path is None else read_rules(self.path)
                except RecganError as error:
                    self.problem = clean(f"{error}{'; the rules before it go on' if self._began else ''}")
                    log.warning("%s", self.problem)
            now = datetime.now(UTC)
            active = tuple(rule for rule in rules.rules if rule.holds(now))
            if rules is not self._now.rules or active != self._now.active:
                new = _Now(rules, active)
                for served in list(self._versions):  # here, not in a request
                    new.of(served)
                self._now = new
                log.info("%d rules of the shop, %d hold now", len(rules.rules), len(active))
            self._on_look(self.in_force(None))

    def meet(self, served: ServedModel) -> None:
        """Find the positions of a version that is to answer, before a request has to."""
        self._versions.add(served)
        self._now.of(served)

    def put(self, rules: Rules) -> None:
        """Replace the file and take it.

        Raises:
            RecganError: it cannot be written.
        """
        assert self.path is not None
        write_rules(rules, self.path)
        self.look()

    def in_force(self, served: ServedModel | None) -> RulesInForce:
        """Say how many rules there are, and what is the matter with them."""
        now = self._now
        bound = None if served is None else now.of(served)
        return RulesInForce(
            rules=len(now.rules.rules),
            unknown_items=0 if bound is None else bound.unknown_items,
            problem=self.problem,
        )

    def holding(self, served: ServedModel) -> Bound | None:
        """Return the rules that hold now for a version."""
        return self._now.of(served)

    def on(
        self,
        served: ServedModel,
        user_id: str | None = None,
        categories: Sequence[str] | None = None,
        plain: bool = False,
    ) -> Applied | None:
        """Return the rules that hold for a request to /recommend; None where none does.

        Args:
            served: who answers.
            user_id: of the shopper.
            categories: by which the request filters.
            plain: the caller may not see the shopper's history. Then what is hard and pins count alone: of
                what boosts and caps bring into a list, and of what rests, a missing item would tell.
        """
        bound = self._now.of(served)
        if bound is None:
            return None
        filters = frozenset(categories or ())
        if plain:
            there = len(bound.hard) or bound.pins
            return Applied(bound, wishes=False, tells=False, categories=filters) if there else None
        rested = self._shown.resting(user_id) if bound.not_again and user_id is not None else []
        held = [at for one in rested if (at := served.position(one)) is not None]
        return Applied(bound, held=np.array(held, dtype=np.int32), categories=filters)

    def alone(self, served: ServedModel) -> Applied | None:
        """Return what is never shown; None where nothing is."""
        bound = self._now.of(served)
        return None if bound is None or not len(bound.hard) else Applied(bound, pins=False, wishes=False)

    def answered(self, user_id: str | None, request_id: str | None, ranking: Ranking) -> None:
        """Count what a shopper was shown, where a rule asks how often that was.

        Not for what is shown to a caller who may not see histories: else anybody could have items withheld
        from a shopper.
        """
        rule = self._now.not_again
        if rule is None or user_id is None:
            return
        listed = (item.item_id for item in ranking.items)
        self._shown.shown(user_id, request_id, listed, rule.impressions, rule.hours)

    def came(self, request_id: str, item_id: str) -> None:
        """Take that something came of an item of an answer."""
        self._shown.came(request_id, item_id)

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            try:
                self.look()
            except Exception as error:  # whatever it is, the next look may go well
                log.warning("the rules of the shop cannot be looked at: %s", clean(repr(error)))


def settled(served: ServedModel, rules: Applied | None, best: Ranking, drawn: Ranking, k: int) -> Ranking:
    """Return a drawn list of k as pins, caps and variety have it.

    Where they change it, its propensities are not known any more.

    Args:
        served: who answers.
        rules: of the request; None for none.
        best: the candidates that it was drawn from, which the rules masked and boosted.
        drawn: the list.
        k: length of the list.
    """
    if rules is None:
        return drawn
    names = {item.item_id for item in drawn.items}
    order = [*drawn.items, *(item for item in best.items if item.item_id not in names)]
    known = {item.item_id: item for item in (*best.pinned, *order)}
    # The order stands for the scores: what was drawn first is the best.
    scores = np.full(len(served.item_ids), -np.inf, dtype=np.float32)
    places = [at for item in order if (at := served.position(item.item_id)) is not None]
    scores[places] = np.arange(len(places), 0, -1)
    k = min(k, len(scores))
    by = {item.rule for item in best.pinned}  # an item may be pinned twice; the lower place has it
    pins = [pin for pin in rules.bound.pins if pin.name in by and pin.place < k]
    chosen, why = rules.filled(scores, k, pins, top_k) or ([], set[str]())
    pinned = {item.item_id: item.rule for item in best.pinned if item.rule in why}
    acted = sorted({*(best.rules or ()), *why}) or None
    items = [known[served.item_ids[position]] for position in chosen] or drawn.items
    items = [
        item.model_copy(update={"rule": pinned[item.item_id]}) if item.item_id in pinned else item
        for item in items
    ]
    moved = [item.item_id for item in items] != [item.item_id for item in drawn.items]
    chance = drawn.drawn if drawn.drawn is None or not moved else replace(drawn.drawn, propensities=None)
    return replace(drawn, items=items, drawn=chance, rules=acted, reordered=moved)

"""How often a shopper was shown an item without anything coming of it, as this process knows it."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_PAIRS = 1_000_000
"""Of shopper and item, about 100 MB; beyond it the shoppers who were answered longest ago are forgotten."""
MAX_ANSWERS = 50_000
"""For which feedback is waited."""


@dataclass
class _Shopper:
    times: dict[str, int] = field(default_factory=dict)
    """Answers that showed each item."""
    until: dict[str, float] = field(default_factory=dict)
    """Of what rests, the instant at which it is shown again."""

    @property
    def pairs(self) -> int:
        return len(self.times) + len(self.until)


class ShownBefore:
    """Counts answers by shopper and item; bounded, in memory, gone with the process."""

    def __init__(self) -> None:
        self._shoppers: OrderedDict[str, _Shopper] = OrderedDict()
        self._answers: OrderedDict[str, str] = OrderedDict()
        self._pairs = 0

    def resting(self, user_id: str) -> list[str]:
        """Return the items that rest for a shopper now."""
        found = self._shoppers.get(user_id)
        if found is None or not found.until:
            return []
        now = time.monotonic()
        for item_id in [one for one, until in found.until.items() if until <= now]:
            del found.until[item_id]
            self._pairs -= 1
        return list(found.until)

    def shown(
        self, user_id: str, request_id: str | None, item_ids: Iterable[str], impressions: int, hours: float
    ) -> None:
        """Count an answer.

        Args:
            user_id: who was answered.
            request_id: of the answer; None where no feedback can name it.
            item_ids: of the answer.
            impressions: answers after which an item rests.
            hours: for how long.
        """
        found = self._shoppers.setdefault(user_id, _Shopper())
        self._shoppers.move_to_end(user_id)
        before = found.pairs
        for item_id in item_ids:
            times = found.times.get(item_id, 0) + 1
            if times < impressions:
                found.times[item_id] = times
            else:
                found.times.pop(item_id, None)
                found.until[item_id] = time.monotonic() + 3600 * hours
        self._pairs += found.pairs - before
        if request_id is not None:
            self._answers[request_id] = user_id
            if len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        while self._pairs > MAX_PAIRS:
            _, oldest = self._shoppers.popitem(last=False)
            self._pairs -= oldest.pairs

    def came(self, request_id: str, item_id: str) -> None:
        """Forget how often an item was shown: something came of it."""
        user_id = self._answers.get(request_id)
        found = None if user_id is None else self._shoppers.get(user_id)
        if user_id is None or found is None:
            return
        before = found.pairs
        found.times.pop(item_id, None)
        found.until.pop(item_id, None)
        self._pairs += found.pairs - before
        if not found.pairs:
            del self._shoppers[user_id]

"""The trial prediction: what passes for answers to a known, an unknown and an empty history."""

import math
import re

import pytest

from recgan.package.asking import what_is_wrong

ASKED = [
    {"history": ["a", "b"], "confidence": [1.0, 1.0]},
    {"history": ["an item that no shop has ever sold"], "confidence": [1.0]},
    {"history": [], "confidence": []},
]
GOOD = {"item_ids": [["c", "d"], ["a", "b"], ["a", "b"]], "scores": [[2.0, 1.0]] * 3}


def test_whole_lists_of_other_items_are_right():
    assert what_is_wrong(ASKED, GOOD, 2, True) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"item_ids": [["c", "d"]], "scores": [[2.0, 1.0]]}, "1 answers to 3 histories"),
        (
            {"item_ids": [["c", "d", "e"], ["a"], ["a"]], "scores": [[3.0, 2.0, 1.0], [1.0], [1.0]]},
            "for k = 2",
        ),
        ({"scores": [[2.0], [2.0, 1.0], [2.0, 1.0]]}, "2 items and 1 scores"),
        ({"item_ids": [["c", "c"], ["a", "b"], ["a", "b"]]}, "an item stands twice"),
        ({"scores": [[2.0, math.nan], [2.0, 1.0], [2.0, 1.0]]}, "a score is not a number"),
        ({"item_ids": [["c", "a"], ["a", "b"], ["a", "b"]]}, r"items already seen: \['a'\]"),
        ({"item_ids": [["c", "d"], ["a", "b"], ["b", "a"]]}, "something else than an unknown item"),
        ({"item_ids": [["c"], [], []], "scores": [[1.0], [], []]}, "an empty history gets nothing"),
    ],
)
def test_what_a_damaged_package_might_answer_is_named(change, says):
    wrong = what_is_wrong(ASKED, GOOD | change, 2, True)
    assert wrong is not None
    assert re.search(says, wrong)


def test_seen_items_are_right_where_they_were_asked_for():
    seen = GOOD | {"item_ids": [["a", "b"]] * 3}
    assert what_is_wrong(ASKED, seen, 2, False) is None

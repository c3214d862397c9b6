"""The published lists obey the rules of the shop, by the server's own code."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.daily import parts
from recgan.daily.lists import answers
from recgan.daily.recommendations import recommend, sentence
from recgan.features.matrices import read_features
from recgan.features.newest import newest_histories
from recgan.online.binding import bind
from recgan.online.ordering import Applied
from recgan.online.rules_file import parse_rules, rules_path
from recgan.package.asking import QUESTIONS
from recgan.package.store import load_champion
from tests.daily.test_recommendations import client, named, shop  # noqa: F401  (fixtures)
from tests.package.conftest import ITEMS, USERS
from tests.serving.test_rules import served

STOCK = {"name": "sold out", "kind": "out_of_stock", "items": ["item-0", "item-6", "tomorrow"]}
PIN = {"name": "advent", "kind": "pin", "item": "item-47", "place": 1}
WITHOUT_EFFECT = [
    {"name": "past", "kind": "blacklist", "items": ["item-1"], "until": "2020-01-01T00:00:00Z"},
    {"name": "of shoes", "kind": "pin", "item": "item-3", "place": 2, "categories": ["shoes"]},
    {"name": "rest", "kind": "not_again", "impressions": 1, "hours": 1.0},
]


def put(root, name, *rules):
    path = rules_path(root, name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rules": rules}))
    return path


def lists(path):
    found = pq.read_table(path).to_pandas()
    return found.groupby("user_id", sort=False)["item_id"].agg(list).tolist()


def test_every_list_obeys_what_needs_no_request(shop, named):  # noqa: F811
    name = named.register_.name
    plain = recommend(shop, named, k=4)
    assert (plain.about["rules"], "by no rules of the shop" in sentence(plain)) == (None, True)
    before = lists(plain.path)
    put(shop, name, STOCK, PIN, *WITHOUT_EFFECT)
    ruled = recommend(shop, named, k=4, part_shoppers=40)
    assert ruled.about["rules"]["names"] == ["sold out", "advent"]
    assert "by the rules 'sold out', 'advent'; for the server alone: 'of shoes', 'rest'" in sentence(ruled)
    assert "now holds the 4 best items for 150 shoppers" in sentence(ruled)
    newest = newest_histories(read_features(shop / "data" / "features"))
    scores = load_champion(shop, name).packaged.recommender.score(newest.user_items).astype(float)
    scores[newest.user_items.nonzero()] = -np.inf
    scores[:, [0, 6, 47]] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    assert lists(ruled.path) == [["item-47", *(f"item-{item}" for item in row)] for row in best]
    assert len(before) == len(best) == USERS
    assert recommend(shop, named, k=4).unchanged
    rules_path(shop, name).unlink()
    assert lists(recommend(shop, named, k=4).path) == before


def test_parts_made_by_other_rules_are_made_anew(shop, named):  # noqa: F811
    asked = []

    def stopped(job, numbers):
        parts.make(job, numbers[:2])
        raise KeyboardInterrupt

    def run(job, numbers):
        asked.append(numbers)
        parts.make(job, numbers)

    put(shop, named.register_.name, STOCK)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            recommend(shop, named, k=2, run=stopped, part_shoppers=30)
    put(shop, named.register_.name, STOCK, PIN)
    published = recommend(shop, named, k=2, run=run, part_shoppers=30)
    assert asked == [[0, 1, 2, 3, 4]]
    assert {one[0] for one in lists(published.path)} == {"item-47"}


def test_rules_that_cannot_be_read_leave_the_file_as_it_was(shop, named):  # noqa: F811
    before = recommend(shop, named, k=2)
    path = put(shop, named.register_.name, PIN | {"place": 0})
    with pytest.raises(RecganError, match=f"{path.name}: rule 'advent': place is 0"):
        recommend(shop, named, k=2)
    path.unlink()
    assert recommend(shop, named, k=2).about == before.about


def test_rules_that_leave_nothing_leave_the_file_as_it_was(shop, named):  # noqa: F811
    name, every = named.register_.name, [f"item-{item}" for item in range(ITEMS)]
    before = recommend(shop, named, k=2)
    path = put(shop, name, {"name": "all", "kind": "blacklist", "items": every})
    with pytest.raises(RecganError, match=f"the rules 'all' leave no item to any shopper.*{path.name}"):
        recommend(shop, named, k=2)
    path.unlink()
    assert recommend(shop, named, k=2) == replace(before, unchanged=True)
    put(shop, name, {"name": "most", "kind": "blacklist", "items": every[3:]})
    short = recommend(shop, named, k=4, exclude_seen=False, part_shoppers=40)
    assert [len(one) for one in lists(short.path)] == [3] * USERS
    assert f"now holds lists of up to 4 items, {3 * USERS} in all and the shortest of 3," in sentence(short)
    seen = recommend(shop, named, k=4, exclude_seen=True)
    found = lists(seen.path)
    assert seen.about["rows"] == sum(map(len, found))
    assert seen.about["shortest"] == (min(map(len, found)) if len(found) == USERS else 0)


def test_rules_that_cannot_hold_are_told_and_not_named(shop, named, caplog):  # noqa: F811
    put(
        shop,
        named.register_.name,
        STOCK,
        PIN,
        PIN | {"name": "unknown", "item": "nobody knows"},
        PIN | {"name": "gone", "item": "item-6", "place": 2},
        PIN | {"name": "below", "item": "item-5", "place": 90},
        {"name": "no such", "kind": "boost", "categories": ["nowhere"], "deviations": 1},
    )
    published = recommend(shop, named, k=4)
    assert "by the rules 'sold out', 'advent'" in sentence(published)
    assert published.about["heeded"] == ["sold out", "advent"]
    said = [one.getMessage() for one in caplog.records if one.name == "recgan.daily.ruled"]
    assert said == [
        "rule 'sold out': the champion does not know 1 of its 3 ids",
        "rule 'unknown': the champion does not know 1 of its 1 ids",
        "rule 'below' pins to place 90, and a list ends at 4",
        "'gone' pins item-6, which 'sold out' (out_of_stock) leaves out: 'sold out' wins",
        "'advent' and 'unknown' pin to place 1: 'advent' has it, the other the nearest free one, behind it "
        "where there is one",
    ]
    assert recommend(shop, named, k=4).unchanged


def test_rules_of_requests_alone_are_told_as_the_servers(shop, named):  # noqa: F811
    put(shop, named.register_.name, *WITHOUT_EFFECT)
    said = sentence(recommend(shop, named, k=2))
    assert "by no rules of the shop; for the server alone: 'of shoes', 'rest'" in said


def test_a_faulty_file_is_told_before_a_server_is_started(tmp_path, monkeypatch):
    from flows import recommend as flow

    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(flow.__file__).parents[1] / "params.yaml", tmp_path)
    flow.check()
    put(tmp_path, "recgan", PIN | {"place": 0})
    with pytest.raises(RecganError, match="rule 'advent': place is 0"):
        flow.check()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            # i11 has score 0, and two deviations of .31 put it behind i2 with .67.
            {"kind": "boost", "brands": ["own"], "deviations": 2.0},
            [["i0", "i1", "i2", "i11"], ["i0", "i2", "i11", "i3"], ["i1", "i2", "i11", "i3"]],
        ),
        (
            {"kind": "cap", "per": "category", "at_most": 1, "only": ["even"]},
            [["i0", "i1", "i3", "i5"], ["i0", "i3", "i5", "i7"], ["i1", "i2", "i3", "i5"]],
        ),
    ],
)
def test_wishes_hold_as_in_the_answers_of_the_server(rule, expected):
    assortment = served()
    content = json.dumps({"rules": [{"name": "wish"} | rule]}).encode()
    rules = Applied(bind(parse_rules(content, "-").rules, assortment))
    histories = [[], ["i1"], ["i0"]]
    rows = [{"history": one, "confidence": [1.0] * len(one), "age_days": None} for one in histories]
    asked = pa.RecordBatch.from_pylist(rows, QUESTIONS)
    found = answers(assortment, rules, np.array(["a", "b", "c"], dtype=object), asked, 4, True)
    assert found["item_ids"].to_pylist() == expected

"""The file of the shop's rules: what is read, what is refused and how, what contradicts each other."""

import json
from datetime import UTC, datetime

import pytest

from recgan.core.errors import RecganError
from recgan.online.contradictions import contradictions
from recgan.online.rules import MAX_RULES
from recgan.online.rules_file import is_there, parse_rules, read_rules, write_rules

EACH = [
    {"name": "sold out", "kind": "out_of_stock", "items": ["a"], "until": "2026-12-01T00:00:00Z"},
    {"name": "recall", "kind": "blacklist", "categories": ["toys"], "brands": ["acme"]},
    {"name": "advent", "kind": "pin", "item": "b", "place": 1, "from": "2026-11-29T00:00:00+01:00"},
    {"name": "own brand", "kind": "boost", "brands": ["own"], "deviations": 1},
    {"name": "mixed", "kind": "cap", "per": "category", "at_most": 3, "only": ["shoes"]},
    {"name": "enough", "kind": "not_again", "impressions": 5, "hours": 24},
    {"name": "unlike", "kind": "variety", "relevance": 0.7},
]


def parsed(*rules):
    return parse_rules(json.dumps({"rules": rules}).encode(), "rules/shop.json")


def test_what_is_written_is_read_again(tmp_path):
    rules = parsed(*EACH)
    write_rules(rules, tmp_path / "rules" / "shop.json")
    assert read_rules(tmp_path / "rules" / "shop.json") == rules
    assert "null" not in (tmp_path / "rules" / "shop.json").read_text()


KINDS = "out_of_stock, blacklist, pin, boost, cap, not_again, variety"
NO_KIND = {"name": "no kind", "items": ["a"]}


@pytest.mark.parametrize(
    ("number", "change", "said"),
    [
        (2, {"place": 0}, "rule 'advent': place is 0: Input should be greater than or equal to 1"),
        (2, {"place": "1"}, "rule 'advent': place is \"1\": should be a number, neither text nor"),
        (2, {"categories": []}, "rule 'advent': categories is []: List should have at least 1 item"),
        (
            3,
            {"deviations": 11},
            "rule 'own brand': deviations is 11: Input should be less than or equal to 10",
        ),
        (
            3,
            {"brands": []},
            "rule 'own brand': it names nothing; give items, categories or brands, or remove",
        ),
        (4, {"at_most": 0}, "rule 'mixed': at_most is 0: Input should be greater than or equal to 1"),
        (4, {"per": "colour"}, "rule 'mixed': per is \"colour\": Input should be 'category' or 'brand'"),
        (5, {"hours": 0}, "rule 'enough': hours is 0: Input should be greater than 0"),
        (6, {"relevance": 1.5}, "rule 'unlike': relevance is 1.5: Input should be less than or equal to 1"),
        (6, {"lambda": 1}, "rule 'unlike': 'lambda' is no part of a rule of this kind; remove it"),
        (6, {"kind": "mmr"}, f"rule 'unlike': kind is \"mmr\"; give one of {KINDS}"),
        (6, {"kind": None}, f"rule 'unlike': kind is null; give one of {KINDS}"),
        (6, {"kind": ["cap"]}, f"rule 'unlike': kind is [\"cap\"]; give one of {KINDS}"),
        (
            6,
            {"kind": "k" * 200},
            f"rule 'unlike': kind is \"{'k' * 80}…\"; give one of {KINDS}",
        ),
        (1, NO_KIND, f"rule 'no kind': kind is missing; give one of {KINDS}"),
        (0, {"until": "1.12."}, "rule 'sold out': until is \"1.12.\": should be text such as"),
        (0, {"until": 1764547200}, "rule 'sold out': until is 1764547200: should be text such as"),
        (0, {"until": "2026-12-01T00:00:00"}, "Input should have timezone info"),
        (0, {"from": "2026-12-02T00:00:00Z"}, "before it begins; put `until` after `from`"),
        (1, {"name": "advent"}, "the name 'advent' stands twice; give each rule a name of its own"),
        (1, {"name": ""}, 'rule 2: name is "": String should have at least 1 character'),
        (1, EACH[6] | {"name": "more"}, "'unlike' is the second rule of kind variety; keep one of them"),
    ],
)
def test_a_fault_names_rule_value_and_remedy(number, change, said):
    rules = [dict(rule) for rule in EACH]
    rules[number] = change if "name" in change and len(change) > 1 else rules[number] | change
    with pytest.raises(RecganError) as refused:
        parsed(*rules)
    assert said in str(refused.value)
    assert str(refused.value).startswith("rules/shop.json: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "Input should be"),
        (b'{"rules": [3]}', r'the body: rule 1 is 3, no object; write one such as \{"name": "sold out"'),
        (b'{"rules": [], "rules": []}', "the body: the key 'rules' stands twice in one object; keep one"),
        (b'{"rules": [{"name": "a", "name": "b", "kind": "pin", "item": "a", "place": 1}]}', "'name' stands"),
        (b'{"rules": [], "more": 1}', "more: Extra inputs"),
        (b"{}", "rules: Field required"),
        (json.dumps({"rules": [EACH[6]] * (MAX_RULES + 1)}).encode(), "at most 1000 items"),
    ],
)
def test_what_is_no_rules_is_refused(content, said):
    with pytest.raises(RecganError, match=said):
        parse_rules(content, "the body")


def test_a_rule_holds_from_its_beginning_to_before_its_end():
    [rule] = parsed(EACH[0] | {"from": "2026-11-30T00:00:00Z"}).rules
    at = [
        datetime(2026, 11, 29, 23, 59, tzinfo=UTC),
        datetime(2026, 11, 30, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    ]
    assert [rule.holds(now) for now in at] == [False, True, False]


ITEMS = {"a": (None, None), "b": ("toys", "acme"), "c": ("shoes", "own")}


def pin(item, place=1, **more):
    return {"name": f"pin {item}", "kind": "pin", "item": item, "place": place} | more


@pytest.mark.parametrize(
    ("rules", "count"),
    [
        ([EACH[0], pin("a")], 1),
        ([EACH[1], pin("b")], 1),  # by its category
        ([EACH[0], EACH[1], pin("c")], 0),
        ([EACH[0], pin("a", **{"from": "2026-12-01T00:00:00Z"})], 0),  # when it is on sale again
        ([pin("a"), pin("c")], 1),  # one place
        ([pin("a", categories=["x"]), pin("c", categories=["y"])], 0),
        ([pin("a", categories=["x"]), pin("c")], 1),
        ([pin("a"), pin("c", 2)], 0),
        ([pin("a"), pin("a", name="again")], 0),  # both are obeyed
        ([EACH[0], EACH[0] | {"name": "too"}, pin("a")], 1),
        ([EACH[1], pin("b"), pin("c")], 1),  # what is never shown does not stand in the way
        ([EACH[0], pin("a"), pin("c")], 2),  # it is on sale again one day
    ],
)
def test_contradictions_are_told(rules, count):
    found = contradictions(parsed(*rules), lambda item: ITEMS.get(item, (None, None)))
    assert len(found) == count
    if count and rules[0]["kind"] != "pin" and rules[1]["kind"] == "pin":
        assert f"'{rules[0]['name']}' wins" in found[0]


def test_of_many_pins_at_one_place_one_sentence_names_who_has_it():
    pins = [pin(f"i{number}", 5) for number in range(MAX_RULES)]
    [said] = contradictions(parsed(*pins), lambda item: (None, None))
    first = ", ".join(f"'pin i{number}'" for number in range(1, 6))
    assert said.startswith(f"'pin i0' has place 5, to which {first} and 994 more pin too: ")


def test_a_pin_yields_to_the_first_that_holds_with_it():
    early, late = {"until": "2026-12-01T00:00:00Z"}, {"from": "2026-12-01T00:00:00Z"}
    pins = [pin("a", **early), pin("b", **late), pin("c", **early), pin("d", **late), pin("e")]
    found = contradictions(parsed(*pins), lambda item: (None, None))
    assert [said.split(" pin to")[0].split(" pin too")[0] for said in found] == [
        "'pin a' has place 1, to which 'pin c', 'pin e'",
        "'pin b' and 'pin d'",
    ]


def test_what_stands_in_the_place_of_the_file_is_never_taken_for_no_rules(tmp_path):
    path = tmp_path / "shop.json"
    assert not is_there(path)
    path.mkdir()
    with pytest.raises(RecganError, match=r"shop.json is a folder; put the file of rules in its place"):
        read_rules(path)
    path.rmdir()
    path.symlink_to(tmp_path / "gone.json")
    assert is_there(path)
    with pytest.raises(RecganError, match=r"shop.json leads to no file; let the link lead to the file"):
        read_rules(path)

"""Differences of a table of free names: null takes one out, a section merges, comments go with their value.

The kinds are tests' own; what the project's examples come to is in tests/test_examples.py.
"""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from recgan.core.differences import merged, merged_layers, read_layers, section_below
from recgan.core.errors import RecganError
from recgan.core.merged_text import merged_text
from recgan.core.sections import Kinds, Section, check_section, kinds_of
from recgan.core.yaml12 import parse_yaml


class Side(Section):
    width: int
    depth: int


class Round(Section):
    kind: Literal["round"]
    radius: int
    edge: Side


class Square(Section):
    kind: Literal["square"]
    side: Side | None
    lists: list[int]


class Holder(Section):
    kind: Literal["holder"]
    held: Annotated[Any, Kinds(lambda: [Round, Square, Holder], "kind")]
    several: list[Annotated[Any, Kinds(lambda: [Round, Square, Holder], "kind")]]


class Shelf(Section):
    holder: Holder


class Whole(Section):
    shapes: dict[str, Annotated[Round | Square, Field(discriminator="kind")]]
    sides: dict[str, Side]
    plain: dict[str, int]
    other: int


BASE = {
    "shapes": {
        "ball": {"kind": "round", "radius": 1, "edge": {"width": 2, "depth": 3}},
        "box": {"kind": "square", "side": {"width": 4, "depth": 5}, "lists": [6, 7]},
    },
    "sides": {"long": {"width": 8, "depth": 9}},
    "plain": {"x": 10, "y": 11},
    "other": 12,
}
BALL, BOX = BASE["shapes"].values()


@pytest.mark.parametrize(
    ("difference", "place", "expected"),
    [
        ({"shapes": {"ball": None}}, "shapes", {"box": BOX}),
        ({"shapes": {"ball": None, "box": None}}, "shapes", {}),
        ({"shapes": {"none": None}}, "shapes", {"ball": BALL, "box": BOX}),
        ({"shapes": {"new": BOX}}, "shapes", {"ball": BALL, "box": BOX, "new": BOX}),
        ({"shapes": {"ball": {"radius": 0}}}, "shapes", {"ball": {**BALL, "radius": 0}, "box": BOX}),
        ({"shapes": {"box": {"kind": "square", "lists": [0]}}}, "shapes.box", {**BOX, "lists": [0]}),
        ({"shapes": {"ball": {"edge": {"depth": 0}}}}, "shapes.ball.edge", {"width": 2, "depth": 0}),
        ({"shapes": {"box": {"side": {"depth": 0}}}}, "shapes.box.side", {"width": 4, "depth": 0}),
        ({"shapes": {"box": {"side": None}}}, "shapes.box", {**BOX, "side": None}),
        (
            {"shapes": {"ball": {"kind": "square", "lists": []}}},
            "shapes.ball",
            {"kind": "square", "lists": []},
        ),
        ({"shapes": {"ball": 3}}, "shapes", {"ball": 3, "box": BOX}),
        ({"shapes": None}, "shapes", None),
        ({"sides": {"new": {"width": 1}}}, "sides", {"new": {"width": 1}}),  # of one kind alone: replaced
        ({"sides": {"long": None}}, "sides", {"long": None}),
        ({"plain": {"x": 0}}, "plain", {"x": 0}),
        ({"plain": {"x": None}}, "plain", {"x": None}),
        ({"other": None}, "other", None),
    ],
)
def test_a_table_of_sections_is_merged_name_by_name_and_one_of_plain_values_replaced(
    difference, place, expected
):
    before = parse_yaml(repr(BASE).encode(), "before")
    found = merged(BASE, difference, Whole)
    below = found
    for part in place.split("."):
        below = below[part]
    assert below == expected
    assert {name: value for name, value in found.items() if name not in difference} == {
        name: value for name, value in BASE.items() if name not in difference
    }
    assert before == BASE


@pytest.mark.parametrize(
    ("difference", "place", "expected"),
    [
        ({"held": {"radius": 0}}, "held", BALL | {"radius": 0}),
        ({"held": {"edge": {"depth": 0}}}, "held", BALL | {"edge": {"width": 2, "depth": 0}}),
        ({"held": BOX}, "held", BOX),
        ({"several": [{"radius": 0}]}, "several", [{"radius": 0}]),  # a list is replaced
    ],
)
def test_a_section_inside_one_of_its_own_kinds_is_merged_too(difference, place, expected):
    inner = {"kind": "holder", "held": BALL, "several": [BALL]}
    base = {"holder": {"kind": "holder", "held": inner, "several": []}}
    found = merged(base, {"holder": {"held": difference}}, Shelf)
    assert found["holder"]["held"] == inner | {place: expected}


def test_what_was_taken_out_comes_back_as_it_is_given():
    without = merged(BASE, {"shapes": {"ball": None}}, Whole)
    assert merged(without, {"shapes": {"ball": {"radius": 5}}}, Whole)["shapes"]["ball"] == {"radius": 5}


@pytest.mark.parametrize(
    ("names", "values", "expected"),
    [
        (["shapes", "ball"], [BALL, {"radius": 1}], Round),
        (["shapes", "ball"], [BALL, {"kind": "round"}], Round),
        (["shapes", "box"], [BOX, {"kind": "square"}], Square),
        (["shapes", "ball"], [BALL, {"kind": "square"}], None),
        (["shapes", "ball"], [{"kind": "oval"}, {"radius": 1}], None),
        (["shapes", "ball"], [None, BALL], None),
        (["sides"], [{}, {}], None),
        (["plain"], [{}, {}], None),
        (["unknown"], [{}, {}], None),
    ],
)
def test_the_fields_that_two_values_share_are_those_of_their_kind(names, values, expected):
    section = Whole
    for name in names[:-1]:
        section = section_below(section, name, {}, {})
    assert section_below(section, names[-1], *values) is expected


def test_the_kinds_of_a_table_are_told_apart_by_their_field():
    inside = Annotated[Round | Square, Field(discriminator="kind")]
    assert kinds_of(inside) == ([Round, Square], "kind")
    assert kinds_of(Side | None) == ([Side], None)
    assert kinds_of(int) == ([], None)


def test_a_fault_inside_a_table_is_named_by_its_place_in_the_file():
    content = merged(BASE, {"shapes": {"ball": {"radius": "far"}, "box": {"sides": 3}}}, Whole)
    with pytest.raises(RecganError) as caught:
        check_section(content, "mine.yaml", Whole)
    assert "shapes.ball.radius: " in str(caught.value)
    assert "(given: 'far')" in str(caught.value)
    assert "shapes.box.sides: unknown parameter" in str(caught.value)
    assert "square" not in str(caught.value)  # it stands in pydantic's path, in no file


# --- text -----------------------------------------------------------------------------------------------


TEXT = """# The base.

shapes:               # what there is
  # rolls
  ball:
    kind: round
    radius: 1         # of the middle
    edge: {width: 2, depth: 3}   # thin
  # stands
  box:
    kind: square
    side:
      width: 4
      depth: 5        # behind
    lists: [6, 7]
  # the end of shapes

sides:
  long: {width: 8, depth: 9}

plain: {x: 10, y: 11}

other: 12
"""
BALL_TEXT = TEXT[TEXT.index("  # rolls") : TEXT.index("  # stands")]
BOX_TEXT = TEXT[TEXT.index("  # stands") : TEXT.index("  # the end")]


def test_the_text_of_the_base_is_its_content():
    assert parse_yaml(TEXT.encode(), "base") == BASE


@pytest.mark.parametrize(
    ("difference", "old", "new"),
    [
        ("shapes:\n  ball: null\n", BALL_TEXT, ""),
        ("shapes: {ball: null}\n", BALL_TEXT, ""),
        ("shapes:\n  # it rolled away\n  box: null\n", BOX_TEXT, ""),
        ("shapes: {none: null}\n", "", ""),
        ("shapes:\n  ball:\n    radius: 0   # a point\n", "1         # of the middle", "0   # a point"),
        ("shapes: {ball: {edge: {depth: 0}}}\n", "depth: 3}", "depth: 0}"),
        ("shapes:\n  box: {side: {depth: 0}}\n", "depth: 5        # behind", "depth: 0"),
        (
            "shapes:\n  # another one\n  ball:\n    kind: square   # now\n    side: null\n    lists: []\n",
            BALL_TEXT,
            "  # another one\n  ball:\n    kind: square   # now\n    side: null\n    lists: []\n",
        ),
        (
            "shapes:\n  # flat\n  coin: {kind: square, side: null, lists: []}  # thin too\n",
            "  # the end of shapes",
            "  # flat\n  coin: {kind: square, side: null, lists: []}  # thin too\n  # the end of shapes",
        ),
        ("sides: {long: {depth: 0}}\n", "sides:\n  long: {width: 8, depth: 9}", "sides: {long: {depth: 0}}"),
        ("plain: {x: null}   # nothing\n", "plain: {x: 10, y: 11}", "plain: {x: null}   # nothing"),
    ],
)
def test_a_difference_changes_its_own_lines_of_a_table_and_no_others(tmp_path, difference, old, new):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "mine.yaml").write_text(f"base: base.yaml\n{difference}")
    layers = read_layers(tmp_path / "mine.yaml")
    text, content = merged_text(layers, Whole)
    assert content == merged_layers(layers, Whole) == parse_yaml(text, "mine")
    expected = TEXT.split("\n\n", 1)[1]
    assert not old or expected.count(old) == 1
    assert text.decode() == (expected.replace(old, new) if old else expected)


def test_a_later_layer_brings_back_what_an_earlier_one_took_out(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "without.yaml").write_text("base: base.yaml\nshapes: {ball: null}\n")
    (tmp_path / "mine.yaml").write_text(
        "base: without.yaml\nshapes:\n  # again\n  ball: {kind: square, side: null, lists: [1]}\n"
    )
    text, content = merged_text(read_layers(tmp_path / "mine.yaml"), Whole)
    assert list(content["shapes"]) == ["box", "ball"]
    assert content["shapes"]["ball"] == {"kind": "square", "side": None, "lists": [1]}
    assert b"  # again\n  ball: {kind: square, side: null, lists: [1]}\n" in text
    assert b"rolls" not in text

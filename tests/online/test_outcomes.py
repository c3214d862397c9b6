"""What came of an experiment's answers, counted by shopper and by arm."""

import re
import shutil
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.data.impressions import FEEDBACK, SHOWN
from recgan.online import outcomes
from recgan.online.outcomes import count, read_outcomes
from tests.online.conftest import BEGAN, came, experiment_of, shown, tables

CHAMPION, CHALLENGER, BOTH = "champion", "challenger", "interleaved"


def counted(answers, events, design="split", hours=1000.0, days=1.0):
    return count(*tables(answers, events), experiment_of(design), BEGAN + timedelta(hours=hours), days)


def rows(found, *columns):
    return sorted(found.shoppers[["arm", "user_id", *columns]].itertuples(index=False, name=None))


def test_events_count_once_for_the_answer_that_they_name_and_in_its_window():
    answers = [
        shown(1, "ann", CHAMPION),
        shown(2, "ann", CHAMPION),
        shown(3, "bob", CHALLENGER),
        shown(4, "eve", CHALLENGER, experiment="another"),
        shown(5, "eve", CHALLENGER, experiment=None),
    ]
    events = [
        came(1, "a", "view"),
        came(1, "b", "view"),  # a second click of the same answer
        came(2, "c", price=4.0, value=2.0),
        came(2, "c", price=4.0, value=2.0),  # told twice
        came(3, "a", "cart", hours=23.9),
        came(3, "a", hours=24.1),  # too late
        came(3, "z"),  # was not shown
        came(4, "a"),
        came(99, "a"),  # of no answer
    ]
    found = counted(answers, events)
    assert rows(found, "answers", "click", "cart", "purchase", "value") == [
        (CHALLENGER, "bob", 1, 0, 1, 0, 0.0),
        (CHAMPION, "ann", 2, 1, 0, 1, 8.0),
    ]


def test_an_answer_counts_once_its_window_is_over():
    answers = [shown(1, "ann", CHAMPION, hours=0), shown(2, "ann", CHAMPION, hours=10)]
    events = [came(2, "a", hours=11)]
    assert rows(counted(answers, events, hours=30), "answers", "purchase") == [(CHAMPION, "ann", 1, 0)]
    assert rows(counted(answers, events, hours=34), "answers", "purchase") == [(CHAMPION, "ann", 2, 1)]
    assert counted(answers, events, hours=1).arms["answers"].tolist() == [2]  # the guardrails do not wait


def test_an_interleaved_list_is_won_by_whose_items_have_more_events():
    mine, both = ["challenger", "champion", "challenger"], {"teams": ["champion", "challenger", "champion"]}
    answers = [
        shown(1, "ann", BOTH, teams=mine),
        shown(2, "ann", BOTH, teams=mine),
        shown(3, "bob", BOTH, **both),
        shown(4, "bob", BOTH, **both),
        shown(5, "eve", CHAMPION),
    ]
    events = [
        came(1, "a", "view"),
        came(1, "c", "view"),  # two of the challenger's against one: one list won
        came(1, "b", "view"),
        came(2, "a", "view"),
        came(2, "b", "view"),  # one each
        came(3, "a", "view"),
        came(3, "a", "view", hours=2),  # the same item again
        came(3, "b", "view"),
        came(4, "c", "view"),
        came(5, "a", "view"),
    ]
    found = counted(answers, events, "interleave")
    assert rows(found, "answers", "click", "click_wins", "click_decided", "purchase_decided") == [
        (CHAMPION, "eve", 1, 1, 0.0, 0.0, 0.0),
        (BOTH, "ann", 2, 2, 1.0, 1.0, 0.0),
        (BOTH, "bob", 2, 2, -1.0, 1.0, 0.0),
    ]
    assert found.items == {CHAMPION: 3, CHALLENGER: 3}


def test_who_stood_in_for_the_challenger_is_counted_in_its_arm():
    answers = [
        shown(1, "ann", CHALLENGER),
        shown(2, "ann", CHALLENGER, version="1"),
        shown(3, "ann", CHALLENGER, fallback=True),
        shown(4, "bob", CHAMPION),
        shown(5, "bob", CHAMPION, fallback=True),
    ]
    found = counted(answers, [])
    assert found.arms.set_index("arm")["failed"].to_dict() == {CHAMPION: 1, CHALLENGER: 2}
    lists = [shown(1, "ann", BOTH, teams=["champion"], items="a"), shown(2, "ann", BOTH)]
    assert counted(lists, [], "interleave").arms["failed"].tolist() == [1]


def test_distinct_items_are_counted_in_as_many_answers_of_each_arm():
    answers = [
        shown(1, "ann", CHALLENGER, "ab"),
        shown(2, "ann", CHALLENGER, "bc"),
        shown(3, "bob", CHAMPION, "xy"),
        shown(4, "bob", CHAMPION, "xz"),
        shown(5, "bob", CHAMPION, "uvw"),  # the third: the challenger has two
    ]
    assert counted(answers, []).items == {CHAMPION: 3, CHALLENGER: 3}


def test_distinct_items_are_counted_in_so_many_answers_at_most(monkeypatch):
    monkeypatch.setattr(outcomes, "COVERED", 1)
    answers = [shown(1, "ann", CHALLENGER, "a"), shown(2, "ann", CHALLENGER, "bc")]
    answers += [shown(3, "bob", CHAMPION, "xy"), shown(4, "bob", CHAMPION, "z")]
    assert counted(answers, []).items == {CHAMPION: 2, CHALLENGER: 1}


def test_the_log_is_read_from_the_first_day_on_whatever_wrote_it(tmp_path):
    log = tmp_path / "a*b"  # which is axb too for whoever takes it for a pattern
    answers = [shown(1, "ann", CHAMPION), shown(2, "bob", CHALLENGER, hours=24)]
    before = shown(9, "ann", CHAMPION, hours=-24)
    told = [came(1, "a"), came(2, "b", "view", hours=25)]
    whole = {"shown": tables([*answers, before], told)[0], "feedback": tables(answers, told)[1]}

    def write(table, day, name, rows, open_=False):
        path = log / table / f"date={BEGAN + timedelta(days=day):%Y-%m-%d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not open_:
            pq.write_table(rows, path)
            return path
        with pa.ipc.new_stream(path, rows.schema) as stream:
            stream.write_table(rows)
        return path

    write("shown", -1, "a.parquet", whole["shown"].slice(2))
    # As an earlier version wrote it: without a column, and with one that is no more.
    older = whole["shown"].slice(0, 1).drop_columns(["teams"]).append_column("gone", pa.array([1]))
    damaged = write("shown", 0, "a.parquet", older)
    write("shown", 1, "a.arrows", whole["shown"].slice(1, 1), open_=True)
    write("feedback", 0, "a.parquet", whole["feedback"].slice(0, 1))
    write("feedback", 1, "a.arrows", whole["feedback"].slice(1), open_=True)
    look = experiment_of(), BEGAN + timedelta(hours=1000), 1.0
    shutil.copytree(log, tmp_path / "axb")
    found = read_outcomes(log, *look)
    assert (whole["shown"].schema, whole["feedback"].schema) == (SHOWN, FEEDBACK)
    assert rows(found, "answers", "click", "purchase") == [
        (CHALLENGER, "bob", 1, 1, 0),
        (CHAMPION, "ann", 1, 0, 1),
    ]
    damaged.write_bytes(b"PAR1 and no more")
    with pytest.raises(RecganError, match=rf"{re.escape(str(damaged))}.*move the file away"):
        read_outcomes(log, *look)
    assert rows(read_outcomes(tmp_path / "nothing", *look), "answers") == []


def test_nothing_was_answered_yet():
    found = counted([], [])
    assert (len(found.shoppers), len(found.arms), found.items) == (0, 0, {CHAMPION: 0, CHALLENGER: 0})
    assert len(counted([], [], "interleave").shoppers) == 0

"""What a night says of fake accounts."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from flows.summary import screening
from recgan.accounts.tables import ACCOUNTS, GROUPS, Screened, write_screened


@pytest.fixture
def night(tmp_path):
    """Write what the stage screen leaves of groups."""

    def write(*groups):
        (tmp_path / "data/screened").mkdir(parents=True)
        write_screened(
            Screened(ACCOUNTS.empty_table(), pa.Table.from_pylist(list(groups), GROUPS)),
            tmp_path / "data/screened",
        )
        (tmp_path / "metrics").mkdir()
        figures = {"accounts": 2100, "quarantined": 27 if groups else 0, "groups": len(groups)}
        (tmp_path / "metrics/screening.json").write_text(json.dumps(figures))
        return screening(tmp_path).splitlines()

    return write  # fmt: skip


def group(number, items, first, last, quarantined=True):
    return {
        "group_id": number, "accounts": 30 - number, "items": items, "reason": f"reason {number}",
        "first": None if first is None else datetime(2025, 11, first, tzinfo=UTC),
        "last": None if last is None else datetime(2025, 11, last, 23, tzinfo=UTC),
        "quarantined": quarantined,
    }  # fmt: skip


def test_a_quiet_night_is_a_sentence(night):
    assert night() == [
        "# No account of 2,100 was left out as fake.", "",
        "reports/screening.html shows all, and what a person can do.",
    ]  # fmt: skip


def test_the_worst_groups_are_a_table_that_no_id_breaks(night):
    told = night(
        group(1, ["a|b", "[c](http://d)", "e", "f"], 3, 5),
        group(2, ["g"], 7, 7),
        group(3, ["h"], 1, 1, quarantined=False),
        *(group(number, ["i"], None, None) for number in range(4, 9)),
    )
    assert told[0] == "# 27 of 2,100 accounts were left out as fake: 8 groups."
    rows = [line for line in told if line.startswith("|")][2:]
    assert rows[0] == r"| 29 | 2025-11-03 – 2025-11-05 | a\|b, \[c\](http://d), e … | reason 1 |"
    assert rows[1] == "| 28 | 2025-11-07 | g | reason 2 |"
    assert [row.split("|")[1].strip() for row in rows] == ["29", "28", "26", "25", "24"]

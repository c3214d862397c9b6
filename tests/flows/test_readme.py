"""README, typed literally: its ```sh blocks in order in one shell, each with what README says it prints.

A ```text block says what the block before it prints, among other lines: its lines in their order. Numbers may
differ, … stands for anything, blank lines count for nothing.
"""

import itertools
import re

import pytest

from tests.flows.shop import BLOCKS, README, copy_of, typed

END = "=== the end of block"


def masked(text: str) -> str:
    return re.sub(r"\d+(?:[.,:-]\d+)*", "#", " ".join(text.split()))


def missing(expected: str, said: str) -> str | None:
    """Return the first line of an expected block that does not follow in what was said."""
    lines = [masked(line) for line in said.splitlines()]
    for line in filter(None, map(masked, expected.splitlines())):
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")) + "$")
        while lines and not pattern.match(lines[0]):
            lines.pop(0)
        if not lines:
            return line
        lines.pop(0)
    return None


def test_what_is_expected_is_compared_in_its_order_without_numbers():
    said = "noise\n version 12 is  live.\n\n  1. red shoes (i00007)\nend"
    assert missing("version 3 is live.\n\n1. … (i1)", said) is None
    assert missing("1. …\nversion 3 is live.", said) == "version # is live."
    assert missing("version 3 is dead.", said) == "version # is dead."


def test_readme_fits_on_a_screen_or_two_and_says_what_each_command_prints():
    assert len(README.encode()) < 8 * 1024
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds[0] == "sh"
    assert kinds.count("text") >= 3
    assert ("text", "text") not in set(itertools.pairwise(kinds))
    ports = [int(port) for port in re.findall(r"^\| (\d{4}) \|", README, re.MULTILINE)]
    assert len(ports) == len(set(ports)) == 4


@pytest.mark.slow
def test_what_is_typed_prints_what_readme_says(finished, tmp_path):
    """The whole first hour, with a small shop; that `make run` does with the whole one, ci.yml shows."""
    folder = copy_of(finished, tmp_path / "recgan")
    typed_later = [block for kind, block in BLOCKS if kind == "sh"][1:]
    done = typed(folder, "set -m\n" + "".join(f"{block}echo; echo '{END}'\n" for block in typed_later))
    said = iter([finished.said, *done.stdout.split(END)])
    now, lacking = "", {}
    for kind, block in BLOCKS:
        if kind == "sh":
            now = next(said)
        elif (line := missing(block, now)) is not None:
            lacking[line] = now[-2000:]
    assert lacking == {}, done.stderr[-3000:]
    assert "Error" not in finished.complained + done.stderr

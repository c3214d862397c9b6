"""Files are the old or the new one, never half of either."""

import contextlib
import itertools
import os
import signal
import sys

import pytest

from recgan.core import files
from recgan.core.errors import Unavailable
from recgan.core.files import read_json, read_whole, replacing, write_json, write_text


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    with replacing(target) as new:
        new.mkdir()
        (new / "new").write_text("new")
        assert (target / "old").exists()
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_what_was_there(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    else:
        target.write_text("old")
    with pytest.raises(KeyError), replacing(target) as new:
        if kind == "folder":
            new.mkdir()
        else:
            new.write_text("half")
        raise KeyError
    assert (target / "old" if kind == "folder" else target).read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    rename = type(target).rename

    def failing(self, to):
        if self.parent.name.startswith(".out.") and self.name == "out":
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(files, "_renameat2", lambda: None)
    monkeypatch.setattr(type(target), "rename", failing)
    with pytest.raises(OSError, match="No space"), replacing(target) as new:
        new.mkdir()
    assert (target / "old").read_text() == "old"


# --- killed writers -------------------------------------------------------------------------------------


def fill(folder, version):
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(version)


def version_of(folder):
    """The one version that all three files of a folder have."""
    (version,) = {(folder / name).read_text() for name in "abc"}
    return version


def killed_at(step, work):
    """Do something in a child that kills itself before its step-th audited operation; was it killed?

    Audited are the operations of the system that Python announces: each open, rename, mkdir, remove.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            left = itertools.count(step, -1)
            sys.addaudithook(lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(left) == 0 else None)
            work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("one_step", [True, False], ids=["exchange", "two renames"])
def test_a_kill_at_any_point_leaves_the_old_or_the_new_folder(tmp_path, monkeypatch, one_step):
    if not one_step:
        monkeypatch.setattr(files, "_renameat2", lambda: None)
    target, seen = tmp_path / "out", []
    fill(target, "0")

    def write():
        with replacing(target) as new:
            fill(new, "1")

    for step in itertools.count():
        killed = killed_at(step, write)
        there = target.exists()
        assert there or not one_step
        seen.append((there, read_whole(target, version_of)))
        with replacing(target) as new:
            fill(new, "0")
        assert os.listdir(tmp_path) == ["out"]  # nothing of the killed one is left
        if not killed:
            break
    versions = [version for _, version in seen]
    assert versions == sorted(versions)  # the old one up to some step, the new one from there
    assert versions[0] == "0"
    assert versions[-1] == "1"
    assert all(there for there, _ in seen) == one_step


def test_a_kill_at_any_point_leaves_the_old_or_the_new_file(tmp_path):
    target = tmp_path / "out.json"
    for step in itertools.count():
        target.write_text("old")
        killed = killed_at(step, lambda: write_text(target, "new"))
        assert target.read_text() in ("old", "new")
        write_text(target, "again")
        assert os.listdir(tmp_path) == ["out.json"]
        if not killed:
            break
    assert step > 5


def test_the_folder_of_a_living_writer_is_left_alone(tmp_path):
    target = tmp_path / "out"
    with replacing(target) as slow:
        fill(slow, "slow")
        with replacing(target) as quick:
            fill(quick, "quick")
        assert version_of(target) == "quick"
        assert version_of(slow) == "slow"
    assert version_of(target) == "slow"
    assert os.listdir(tmp_path) == ["out"]


def test_only_what_replacing_made_is_tidied(tmp_path):
    others = [".out.keep", ".out.2024backup", ".out.json.abcdefgh.tmp", ".other.abcdefgh.tmp"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".out.abcdefgh.tmp").mkdir()
    write_text(tmp_path / "out", "x")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "out"])


# --- readers beside a writer ----------------------------------------------------------------------------


def test_a_reader_that_was_overtaken_reads_anew(tmp_path):
    target, reads = tmp_path / "out", []
    fill(target, "0")

    def overtaken(folder):
        first = (folder / "a").read_text()
        reads.append(first)
        if len(reads) < 3:
            with replacing(target) as new:
                fill(new, str(len(reads)))
        if len(reads) == 2:
            raise KeyError  # as of a file that went away
        return first, (folder / "b").read_text()

    assert read_whole(target, overtaken) == ("2", "2")
    assert reads == ["0", "1", "2"]


def test_files_that_are_put_into_the_folder_in_place_count_as_another_version(tmp_path):
    target, reads = tmp_path / "out", []
    fill(target, "0")

    def read(folder):
        reads.append((folder / "a").read_text())
        if len(reads) == 1:
            (folder / "d").write_text("as a checkout does")
        return reads

    assert read_whole(target, read) == ["0", "0"]


def test_a_folder_that_never_rests_is_refused_and_a_missing_one_is_the_readers_to_name(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PAUSES", (0, 0))
    target = tmp_path / "out"
    fill(target, "0")

    def restless(folder):
        with replacing(folder) as new:
            fill(new, "1")

    with pytest.raises(Unavailable, match="out was replaced while it was read; run this again"):
        read_whole(target, restless)
    with pytest.raises(ValueError, match="it breaks by itself"):
        read_whole(target, lambda _: int("it breaks by itself"))
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path / "none", version_of)


def test_parents_are_made_and_text_is_unicode(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "✓")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "✓"


def test_json_round_trip_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None]})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": [1, 2.5, None]}

"""Files are the old or the new one, never half of either."""

import os

import pytest

from recgan.files import read_json, replacing, write_json, write_text


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

    monkeypatch.setattr(type(target), "rename", failing)
    with pytest.raises(OSError, match="No space"), replacing(target) as new:
        new.mkdir()
    assert (target / "old").read_text() == "old"


def test_parents_are_made_and_text_is_unicode(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "✓")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "✓"


def test_json_round_trip_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None]})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": [1, 2.5, None]}

"""Temporary folders: gone after the block; what a killed process left is swept, nothing else."""

import subprocess
import sys
import tempfile

import pytest

from recgan.core.temporary import sweep, temporary_folder
from tests.conftest import ROOT

HOLDER = (
    "import sys, time; from recgan.core.temporary import temporary_folder\n"
    "with temporary_folder() as folder:\n"
    "    (folder / 'half').write_text('written'); print(folder, flush=True); time.sleep(600)"
)


@pytest.fixture(autouse=True)
def tmpdir_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def other():
    """A process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_empty_and_gone_after_the_block(tmp_path):
    with temporary_folder() as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("something")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_gone_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), temporary_folder():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_folder_and_not_before(tmp_path, other):
    found = other.stdout.readline().strip()
    with temporary_folder() as mine:
        assert (tmp_path / found / "half").read_text() == "written"  # its process lives
        other.kill()
        other.wait()
        sweep()
        assert [path.name for path in tmp_path.iterdir()] == [mine.parent.name]
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_known_to_be_abandoned_stays(tmp_path):
    for name in ("recgan-metrics-1", "recgan-2", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "other/owner").touch()
    (tmp_path / "recgan-link").symlink_to(tmp_path / "other")
    sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("other", "recgan-2", "recgan-link", "recgan-metrics-1")
    ]
    assert (tmp_path / "other/owner").exists()

"""What every test shares: no telemetry, and the real data where it is present."""

import os
from pathlib import Path

import pytest

from recgan.environment import configure

configure()

ROOT = Path(__file__).parents[1]


@pytest.fixture
def real_data():
    """Path of a folder of real data by its name; the test is skipped where it is absent."""
    folder = Path(os.environ.get("RECGAN_SHARED_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"no real data at {folder / name}; set RECGAN_SHARED_DATA")
        return folder / name

    return find

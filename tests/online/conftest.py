"""A small experiment, and the rows of a log of answers."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from recgan.data.impressions import FEEDBACK, SHOWN
from recgan.registry.experiments import Experiment

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def experiment_of(design="split", **more):
    return Experiment(
        **{
            "id": "e",
            "champion": "1",
            "challenger": "2",
            "share": 0.5,
            "design": design,
            "began": BEGAN,
            "by": "ada",
        }
        | more
    )


def shown(number, user, arm, items="abc", hours=0.0, **more):
    """A row of the log: answer `number` to a shopper, so many hours after the beginning."""
    return (
        dict.fromkeys(SHOWN.names)
        | {
            "request_id": f"{number:032x}",
            "time": BEGAN + timedelta(hours=hours),
            "user_id": user,
            "item_ids": list(items),
            "version": "2" if arm == "challenger" else "1",
            "fallback": False,
            "experiment": "e",
            "arm": arm,
            "milliseconds": 5.0,
        }
        | more
    )


def came(number, item, event="purchase", hours=1.0, **more):
    """A row of feedback, so many hours after the beginning."""
    return (
        dict.fromkeys(FEEDBACK.names)
        | {
            "request_id": f"{number:032x}",
            "item_id": item,
            "event": event,
            "time": BEGAN + timedelta(hours=hours),
            "received": BEGAN + timedelta(hours=hours),
        }
        | more
    )


def tables(answers, events):
    return pa.Table.from_pylist(answers, SHOWN), pa.Table.from_pylist(events, FEEDBACK)


@pytest.fixture
def section():
    from recgan.settings import load_params
    from tests.conftest import ROOT

    return load_params(ROOT / "params.yaml").experiment

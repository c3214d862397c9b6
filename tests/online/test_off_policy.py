"""A version is judged by what a server has logged of another one."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.data.impressions import FEEDBACK, SHOWN
from recgan.evaluation.exploration_settings import ExploreParams, OffPolicyParams
from recgan.online.answers import Answers, items_of, padded, read_answers, seen_of
from recgan.online.off_policy import NOTE, held_out_from, noted, off_policy, rebuilt
from recgan.online.version_lists import lists_of
from recgan.package.store import load_version
from recgan.registry.promotion import REASONS
from recgan.registry.tracking import connect
from recgan.serving.app import create_app
from recgan.serving.exploration import Exploration
from tests.package.conftest import TASTES, named_so
from tests.serving.conftest import *  # noqa: F403  (fixtures)
from tests.serving.conftest import buying, ids

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EXPLORE = ExploreParams(share=0.8, temperature=2, candidates=48)
ROUNDS = 40
REQUESTS = [
    *({"history": buying(taste, taste + TASTES), "k": 4} for taste in range(TASTES)),
    {"history": buying(2), "k": 3, "categories": ["taste-2", "taste-3"], "min_price": 4},
    {"history": buying(1, 7), "k": 2, "max_price": 40, "exclude_seen": False},
    {"user_id": "user-4", "k": 4},
    {"user_id": "user-5", "history": buying(4, 11), "k": 4},
]


@pytest.fixture(scope="module")
def logged(shop, params, tmp_path_factory):
    """A project whose server has answered and was told of views: of the items of each shopper's taste."""
    root = tmp_path_factory.mktemp("project")
    exploration = Exploration(EXPLORE, np.random.default_rng(0))
    folder = root / layout.IMPRESSIONS / shop
    app = create_app(shop, root, 3600, exposure="any", impressions=folder, exploration=exploration)
    with TestClient(app) as client:
        for _ in range(ROUNDS):
            for request in REQUESTS:
                answer = client.post("/recommend", json=request).json()
                named = request["history"][0]["item_id"] if "history" in request else "none-1"
                taste = int(named.split("-")[1]) % TASTES
                events = [
                    {"request_id": answer["request_id"], "item_id": item, "event": "view"}
                    for item in ids(answer)
                    if int(item.split("-")[1]) % TASTES == taste
                ]
                if events:
                    client.post("/feedback", json={"events": [*events, events[0]]})
    changed = {
        "serve": params.serve.model_copy(update={"explore": EXPLORE}),
        "off_policy": OffPolicyParams(min_answers=10, min_events=5, min_support=0.5),
    }
    return root, named_so(params, shop).model_copy(update=changed)


def test_a_version_would_have_answered_what_it_has_answered(logged):
    """All that the log has of a request makes the same list again: shopper, history, filters, length."""
    root, params = logged
    name = params.register_.name
    answers = read_answers(root / layout.IMPRESSIONS / name, LONG_AGO)
    assert len(answers.best) > 50
    package = load_version(name, "1")
    items = items_of(answers, package.item_ids.tolist())
    found = lists_of(package, answers.best, {"1": package}, "best", EXPLORE, items, 0)
    assert (found.lists[:, 0] == padded(answers.best["item_ids"], items)).all()
    drawn = lists_of(package, answers.drawn, {"1": package}, "drawn", EXPLORE, items, 0)
    seen = seen_of(answers, items)
    width = seen.logged.candidates.shape[1]  # fewer than the catalogue, as all have a history
    assert (drawn.candidates[:, :width] == seen.logged.candidates).all()
    finite = np.isfinite(drawn.log_weights[:, :width])
    assert (finite == np.isfinite(seen.logged.log_weights)).all()
    found_logs, logs = drawn.log_weights[:, :width][finite], seen.logged.log_weights[finite]
    assert found_logs == pytest.approx(logs, abs=1e-4)
    assert drawn.support(seen.logged) == 1


def test_the_version_that_answered_is_worth_what_it_was(logged):
    root, params = logged
    found = off_policy(root, params, "1")
    view, cart, _ = found.judged
    assert (view.verdict, view.reason) == ("cannot tell", "")
    assert view.deciding.low <= view.compared <= view.deciding.high
    assert (cart.verdict, found.support, found.left_out) == ("refused", 1.0, {})
    assert "the cart events say as much as 0.0" in cart.reason
    assert found.drawn + found.compared == ROUNDS * len(REQUESTS)


def test_a_worse_version_is_found_out_before_any_traffic(logged, capsys):
    """It knows three of the six tastes."""
    root, params = logged
    found = off_policy(root, params, "2")
    assert (found.judged[0].verdict, found.judged[0].reason) == ("worse", "")
    written = json.loads((root / layout.OFF_POLICY_REPORT).read_text())
    assert written["judged"][0]["verdict"] == "worse"
    assert written["version"] == "2"
    text = (root / layout.OFF_POLICY_TEXT).read_text()
    assert "**view: worse." in text
    assert "| item and place | dr |" in text
    assert off_policy(root, params, "2", way="drawn").judged[0].verdict == "worse"


def test_the_estimate_stands_once_among_a_versions_reasons_and_changes_none_of_them(logged):
    root, params = logged
    client, name = connect(root), params.register_.name
    client.set_model_version_tag(name, "2", REASONS, "✗ It is worse.")
    for _ in range(2):
        notes = noted(root, params, "2")
        assert [note.removeprefix(NOTE).split()[0] for note in notes] == ["view:", "cart:", "purchase:"]
        told = client.get_model_version(name, "2").tags[REASONS].split("\n")
        assert told == ["✗ It is worse.", *notes]
    assert notes[0].startswith(f"{NOTE} view: worse. ")
    never = params.serve.model_copy(update={"explore": EXPLORE.model_copy(update={"share": 0})})
    assert noted(root, params.model_copy(update={"serve": never}), "2") == ()
    assert noted(root / "elsewhere", params, "2") == ()


def test_what_came_before_a_versions_training_ended_judges_nothing(logged):
    root, params = logged
    client, name = connect(root), params.register_.name
    version = client.get_model_version(name, "2")
    assert held_out_from(version) == datetime(2026, 1, 1, tzinfo=UTC)
    registered = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    version.tags["features.split"] = json.dumps({"kind": "random"})
    assert held_out_from(version) == registered
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    kept = client.get_model_version(name, "2").tags["features.split"]
    client.set_model_version_tag(
        name, "2", "features.split", json.dumps({"kind": "time", "trained_until": tomorrow})
    )
    try:
        with pytest.raises(RecganError, match=r"no drawn answer since .* wait for the server to draw some"):
            off_policy(root, params, "2")
    finally:
        client.set_model_version_tag(name, "2", "features.split", kept)
    with pytest.raises(RecganError, match="has no version 9"):
        off_policy(root, params, "9")


def test_without_exploration_the_remedy_is_to_explore(logged, tmp_path):
    _, params = logged
    never = params.serve.model_copy(update={"explore": EXPLORE.model_copy(update={"share": 0})})
    off = params.model_copy(update={"serve": never})
    with pytest.raises(RecganError, match=r"set serve\.explore\.share in params\.yaml"):
        off_policy(tmp_path, off, "1")


def table(schema, rows):
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema)


def test_answers_whose_request_cannot_be_asked_again_are_left_out_and_counted(logged):
    _, params = logged
    drawn = table(
        SHOWN,
        [{"user_id": user, "version": version} for user, version in (("a", "1"), ("a", "77"), (None, "77"))],
    )
    answers = Answers(drawn, drawn.slice(0, 0), table(FEEDBACK, []), moved=3)
    kept, answered, left_out = rebuilt(params.register_.name, answers, {"1": None})
    assert kept.drawn["user_id"].to_pylist() == ["a", None]
    assert list(answered) == ["1"]
    assert list(left_out.values()) == [3, 1]


def test_an_event_counts_once_and_with_an_item_of_its_answer():
    one = {
        "user_id": "u",
        "propensities": [0.5, 0.5],
        "candidates": ["a", "b", "c"],
        "log_weights": [0.0] * 3,
    }
    drawn = table(
        SHOWN,
        [
            one | {"request_id": "r", "item_ids": ["b", "a"]},
            one | {"request_id": "s", "item_ids": ["c"], "propensities": [0.25], "user_id": None},
        ],
    )
    best = table(SHOWN, [{"request_id": "t", "item_ids": ["a", "d"], "user_id": "u"}])
    told = [
        ("r", "a", "view"), ("r", "a", "view"), ("r", "c", "view"), ("r", "b", "cart"), ("t", "d", "view"),
        ("nobody", "a", "view"), ("s", "unheard", "view"), ("t", "d", "purchase"), ("t", "a", "purchase"),
    ]  # fmt: skip
    names = ["request_id", "item_id", "event"]
    feedback = table(FEEDBACK, [dict(zip(names, each, strict=True)) for each in told]).select(names)
    seen = seen_of(Answers(drawn, best, feedback, 0), pd.Index(["a", "b", "c", "d"]))
    assert seen.events["view"].tolist() == [[0, 1], [0, 0]]
    assert seen.events["cart"].tolist() == [[1, 0], [0, 0]]
    assert seen.compared["view"].tolist() == [1]
    assert seen.compared["purchase"].tolist() == [2]
    assert seen.logged.shown.tolist() == [[1, 0], [2, -1]]
    assert seen.logged.log_chances == pytest.approx(np.log([[0.5, 0.5], [0.25, 1]]))
    assert seen.shopper[0] == seen.compared_shopper[0] != seen.shopper[1]

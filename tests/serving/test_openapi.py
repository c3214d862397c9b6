"""Schemathesis: whatever the OpenAPI document allows or forbids, the answer is one that it documents.

With more examples against a running server (the import registers the filter below):

    SCHEMATHESIS_HOOKS=tests.serving.test_openapi schemathesis run http://127.0.0.1:8000/openapi.json -n 2000
"""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recgan.serving.app import create_app
from tests.package.conftest import store_uri  # noqa: F401

CONFIG = {
    # Without these hardly any generated item would be a known one.
    "dictionaries": {
        "items": {"values": [f"item-{item}" for item in range(48)]},
        "categories": {"values": ["taste-0", "taste-1", "taste-2"]},
    },
    "parameters": {
        "query.item_id": {"dictionary": "items", "probability": 0.7},
        "body.item_id": {"dictionary": "items", "probability": 0.7},
        "body.history[*].item_id": {"dictionary": "items", "probability": 0.7},
        "body.categories[*]": {"dictionary": "categories", "probability": 0.5},
    },
}
CONFORMS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Let what JSON Schema cannot say be refused: prices that are upside down, and a time yet to come."""
    unsaid = ("is above max_price", "should not be after now")
    return not (response.status_code == 422 and any(one in response.text for one in unsaid))


# pytest collects one test for each operation, before any fixture is there; the document needs no champion.
DOCUMENT = schemathesis.openapi.from_dict(
    create_app("nobody", impressions=Path("impressions")).openapi(),
    config=schemathesis.Config.from_dict(CONFIG),
)


@pytest.fixture(scope="module")
def ended():
    """End the apps, which Schemathesis starts at their first request."""
    yield
    shutdown_lifespans()


@pytest.fixture(scope="module")
def app(shop, ended, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return create_app(shop, poll_seconds=3600, impressions=folder / "log", rules=folder / "rules.json")


@pytest.fixture(scope="module")
def without_champion(store_uri, ended, tmp_path_factory):  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store_uri)
        yield create_app("nobody", poll_seconds=3600, impressions=tmp_path_factory.mktemp("own") / "log")


@DOCUMENT.parametrize()
@settings(max_examples=50, deadline=None, derandomize=True)
def test_every_answer_is_a_documented_one(case, app):
    answer = case.call_and_validate(app=app)
    if case.path in ("/recommend", "/similar") and answer.status_code == 200:
        found = [item["item_id"] for item in answer.json()["items"]]
        k = (case.body if case.method == "POST" else case.query).get("k", 10)
        assert len(set(found)) == len(found) <= int(k)
        assert not answer.json()["fallback"]


@DOCUMENT.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True)
def test_without_a_champion_every_answer_is_a_documented_one(case, without_champion):
    answer = case.call_and_validate(app=without_champion, checks=CONFORMS)
    assert answer.status_code != 200 or case.path in ("/health", "/metrics")
    assert answer.status_code != 202 or case.path == "/feedback"

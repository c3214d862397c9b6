"""Requests at and beyond every limit: a clear refusal, never a 5xx."""

import pytest
from jsonschema import Draft202012Validator

from recgan.serving.schema import MAX_BODY, MAX_CATEGORIES, MAX_HISTORY, MAX_K
from tests.serving.conftest import buying

HEADERS = {"Content-Type": "application/json"}


FIRST = ["body", "history", 0]


@pytest.mark.parametrize(
    ("request_", "where", "says"),
    [
        ({}, ["body"], "give a history"),
        ({"history": buying(*range(MAX_HISTORY + 1))}, ["body", "history"], f"at most {MAX_HISTORY} items"),
        ({"history": [], "k": 0}, ["body", "k"], "greater than or equal to 1"),
        ({"history": [], "k": MAX_K + 1}, ["body", "k"], f"less than or equal to {MAX_K}"),
        ({"history": [], "k": True}, ["body", "k"], "neither text nor true or false"),
        ({"history": [], "k": 2.5}, ["body", "k"], "integer"),
        ({"history": [], "k": "5"}, ["body", "k"], "neither text"),
        ({"history": [], "max_price": "5"}, ["body", "max_price"], "neither text"),
        ({"history": [], "exclude_seen": 0}, ["body", "exclude_seen"], "boolean"),
        ({"history": [{"item_id": 5}]}, [*FIRST, "item_id"], "string"),
        ({"history": [{"item_id": ""}]}, [*FIRST, "item_id"], "at least 1 character"),
        ({"history": [{"item_id": "x" * 257}]}, [*FIRST, "item_id"], "at most 256"),
        ({"history": [{"item_id": "a", "event": "steal"}]}, [*FIRST, "event"], "'view', 'cart'"),
        ({"history": [{"item_id": "a", "value": "4"}]}, [*FIRST, "value"], "number"),
        ({"history": [{"item_id": "a", "timestamp": "0001-01-01"}]}, [*FIRST, "timestamp"], "1970"),
        ({"history": [{"item_id": "a", "timestamp": 1e300}]}, [*FIRST, "timestamp"], "1970 to 2199"),
        ({"history": [{"item_id": "a", "timestamp": -1}]}, [*FIRST, "timestamp"], "1970 to 2199"),
        ({"history": [{"item_id": "a", "timestamp": "1700000000"}]}, [*FIRST, "timestamp"], "ISO 8601"),
        ({"history": [{"item_id": "a", "timestamp": True}]}, [*FIRST, "timestamp"], "ISO 8601"),
        ({"history": [{"item_id": "a", "colour": "red"}]}, [*FIRST, "colour"], "not permitted"),
        ({"user_id": ""}, ["body", "user_id"], "at least 1 character"),
        ({"history": [], "min_price": 2, "max_price": 1}, ["body"], "min_price 2 is above max_price 1"),
        ({"history": [], "min_price": -1}, ["body", "min_price"], "greater than or equal to 0"),
        ({"history": [], "categories": ["x"] * (MAX_CATEGORIES + 1)}, ["body", "categories"], "at most"),
        ({"history": [], "K": 3}, ["body", "K"], "not permitted"),
    ],
)
def test_a_422_says_what_and_where(client, request_, where, says):
    answer = client.post("/recommend", json=request_)
    assert answer.status_code == 422
    fault = next(fault for fault in answer.json()["detail"] if fault["loc"] == where)
    assert says in fault["msg"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(
    "body", ['{"history": [{"item_id": "a", "value": %s}]}', '{"history": [], "min_price": %s}']
)
def test_numbers_are_finite(client, body, number):
    assert client.post("/recommend", content=body % number, headers=HEADERS).status_code == 422


@pytest.mark.parametrize("body", [b"{", b"", b"null", b"[]", b'"\xff"', b"[" * 200_000, b"1" * 6000])
@pytest.mark.parametrize("path", ["/recommend", "/similar"])
def test_what_is_no_request_is_refused(client, path, body):
    assert client.post(path, content=body, headers=HEADERS).status_code in (400, 422)


@pytest.mark.parametrize("body", ['{"history": [{"item_id": "\\ud800"}]}', '{"history": [], "\\ud800": 1}'])
def test_half_a_surrogate_pair_is_refused(client, body):
    assert client.post("/recommend", content=body, headers=HEADERS).status_code == 422


def test_limits_themselves_are_within(client):
    most = {"history": buying(*range(MAX_HISTORY)), "k": MAX_K}
    assert client.post("/recommend", json=most).status_code == 200


def test_a_body_that_is_too_long_is_not_read(client):
    long = b'{"history": [], "user_id": "%s"}' % (b"x" * MAX_BODY)
    by_length = client.post("/recommend", content=long, headers=HEADERS)
    assert by_length.status_code == 413
    assert str(MAX_BODY) in by_length.json()["detail"]
    in_parts = client.post("/recommend", content=iter([long[:1000], long[1000:]]), headers=HEADERS)
    assert in_parts.status_code == 413
    fits = b'{"history": []}'.ljust(MAX_BODY)
    assert client.post("/recommend", content=fits, headers=HEADERS).status_code == 200
    assert client.post("/recommend", content=fits + b" ", headers=HEADERS).status_code == 413


@pytest.fixture(scope="module")
def answers_fit(client):
    """Check an answer against the OpenAPI document's schema for its status."""
    document = client.get("/openapi.json").json()

    def check(path, answer):
        responses = document["paths"][path]["post"]["responses"]
        assert str(answer.status_code) in responses, answer.text
        schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
        Draft202012Validator(schema | {"components": document["components"]}).validate(answer.json())

    return check


def test_the_document_is_openapi_with_examples_that_work(client, answers_fit):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/recommend",
        "/feedback",
        "/rules",
        "/similar",
        "/health",
        "/ready",
        "/metrics",
    }
    assert set(document["paths"]["/similar"]) == {"get", "post"}
    references = set()

    def walk(node):
        if isinstance(node, dict):
            references.update({node["$ref"]} if isinstance(node.get("$ref"), str) else ())
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(document)
    schemas = document["components"]["schemas"]
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    examples = {
        "/recommend": schemas["RecommendRequest"],
        "/feedback": schemas["FeedbackRequest"],
        "/similar": schemas["SimilarRequest"],
    }
    for path, schema in examples.items():
        assert schema["examples"]
        for example in schema["examples"]:
            answer = client.post(path, json=example)
            assert answer.status_code in (200, 202, 404)
            answers_fit(path, answer)


def test_a_method_that_a_path_lacks_is_refused_with_those_it_has(client):
    for path, methods in (("/similar", "GET, POST"), ("/recommend", "POST"), ("/ready", "GET")):
        answer = client.delete(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_a_query_is_held_to_the_same_limits(client):
    for query in ("", "?item_id=item-1&k=0", "?item_id=item-1&k=x", "?item_id=item-1&hue=red"):
        assert client.get(f"/similar{query}").status_code == 422
    assert client.get("/similar?item_id=item-1&max_price=nan").status_code == 422

"""Tokens for asking and for changing, and what rules of the shop must not tell of a shopper's history."""

import base64

import pytest
from fastapi.testclient import TestClient

from recgan.core.errors import RecganError
from recgan.core.redact import clean
from recgan.serving.app import create_app
from recgan.serving.server import check_tokens, may_ask, may_write
from tests.package.conftest import ITEMS, TASTES
from tests.serving.conftest import ids, promote
from tests.serving.test_privacy import history_of

WRITE, READ = "of-the-shops-back-end", "of-the-shops-pages-0"
BY_WRITE, BY_READ = ({"Authorization": f"Bearer {token}"} for token in (WRITE, READ))
ASKED = {"user_id": "user-7", "k": 4}
FEEDBACK = {"events": [{"request_id": "0" * 32, "item_id": "item-1", "event": "purchase"}]}


@pytest.fixture
def tokens(monkeypatch):
    """Set the tokens."""

    def tokens(write=None, read=None, host="0.0.0.0"):
        monkeypatch.setenv("RECGAN_HOST", host)
        for name, token in (("RECGAN_SERVE_TOKEN", write), ("RECGAN_SERVE_READ_TOKEN", read)):
            if token is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, token)

    return tokens


def opened(shop, tmp_path, **more):
    promote(shop, "1")
    settings = {"poll_seconds": 3600, "rules": tmp_path / "rules.json", "impressions": tmp_path / "log"}
    return TestClient(create_app(shop, **(settings | more)), raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("write", "read", "said"),
    [
        ("short", None, "RECGAN_SERVE_TOKEN has 5 characters, which can be guessed; take 16 or more"),
        (WRITE, "fifteen-letters", "RECGAN_SERVE_READ_TOKEN has 15 characters"),
        (WRITE, "with a blank in it", "RECGAN_SERVE_READ_TOKEN has characters that no header may hold"),
        (WRITE, WRITE, "RECGAN_SERVE_READ_TOKEN is the same as RECGAN_SERVE_TOKEN"),
    ],
)
def test_tokens_that_protect_nothing_are_refused_at_start(tokens, write, read, said):
    tokens(write, read)
    with pytest.raises(RecganError, match=said) as refused:
        check_tokens()
    assert not {write, read} & {word.strip(";,") for word in str(refused.value).split()}


def test_tokens_that_protect_are_taken_and_never_shown(tokens):
    for pair in ((None, None), (WRITE, None), (None, READ), (WRITE, READ)):
        tokens(*pair)
        check_tokens()
    assert clean(f"{WRITE} and {READ}") == "*** and ***"


def test_asking_takes_the_token_where_one_is_set(shop, tmp_path, tokens):
    tokens(WRITE, READ)
    basic = base64.b64encode(f"anybody:{READ}".encode()).decode()
    with opened(shop, tmp_path, exposure="any") as client:
        closed = [
            "/similar?item_id=item-1",
            "/rules",
            "/explorer",
            "/explorer/explorer.js",
            "/",
            "/openapi.json",
        ]
        closed += ["/explorer/api/state", "/explorer/api/shoppers", "/no-such-path"]
        for path in closed:
            assert client.get(path, follow_redirects=False).status_code == 401, path
            for headers in (BY_READ, BY_WRITE, {"Authorization": f"Basic {basic}"}):
                assert client.get(path, headers=headers, follow_redirects=False).status_code in (
                    200,
                    307,
                    404,
                ), path
        for wrong in (
            "",
            READ,
            f"Bearer {READ}x",
            "Bearer ",
            "Basic ?",
            f"Basic {base64.b64encode(READ.encode()).decode()}",
        ):
            refused = client.post("/recommend", json=ASKED, headers={"Authorization": wrong})
            assert refused.status_code == 401, wrong
            assert READ not in refused.text
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        # A browser can send no other token of itself.
        assert client.get("/explorer").headers["WWW-Authenticate"].startswith("Basic ")
        for path in ("/health", "/ready", "/metrics"):
            assert client.get(path).status_code == 200
        assert client.post("/recommend", json=ASKED, headers=BY_READ).status_code == 200
        # Reading is not writing.
        assert client.post("/feedback", json=FEEDBACK, headers=BY_READ).status_code == 401
        assert client.put("/rules", json={"rules": []}, headers=BY_READ).status_code == 401
        assert client.post("/feedback", json=FEEDBACK, headers=BY_WRITE).status_code == 202
        assert client.put("/rules", json={"rules": []}, headers=BY_WRITE).status_code == 200


@pytest.mark.parametrize(
    ("write", "read", "host", "allowed"),
    [
        (None, None, "127.0.0.1", True),
        (None, None, "0.0.0.0", False),
        (None, READ, "127.0.0.1", False),  # who reads by a token writes by one too
        (WRITE, None, "127.0.0.1", False),
    ],
)
def test_who_holds_no_token_changes_nothing_but_on_an_open_loopback(
    shop, tmp_path, tokens, write, read, host, allowed
):
    tokens(write, read, host)
    assert may_write("") is allowed
    assert may_ask("") is (read is None)
    headers = {} if read is None else BY_READ
    with opened(shop, tmp_path) as client:
        for answer in (
            client.post("/feedback", json=FEEDBACK, headers=headers),
            client.put("/rules", json={"rules": []}, headers=headers),
        ):
            assert answer.status_code == (
                401 if not allowed else 202 if "feedback" in str(answer.url) else 200
            )
        assert client.get("/rules", headers=headers).status_code == (200 if allowed or read else 401)


def test_a_page_of_another_origin_cannot_change_what_this_machine_may(shop, tmp_path, tokens):
    """What a page may send without asking first: no PUT, and POST as text or a form."""
    tokens(host="127.0.0.1")
    with opened(shop, tmp_path, hosts=("testserver",)) as client:
        origin = {"Origin": "https://evil.example"}
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            headers = origin | ({} if kind is None else {"Content-Type": kind})
            for method, path in (("POST", "/feedback"), ("PUT", "/rules")):
                refused = client.request(
                    method, path, content=b'{"rules": [], "events": []}', headers=headers
                )
                assert refused.status_code == 422, (kind, path)
        asks = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
        asked = client.options("/rules", headers=origin | asks)
        assert asked.status_code == 405
        assert not [name for name in asked.headers if name.startswith("access-control")]
        # Nor by lending its own name to this machine's address.
        renamed = client.put("/rules", json={"rules": []}, headers={"Host": "evil.example"})
        assert renamed.status_code == 403
        too_long = client.put("/rules", content=b" " * 600_000, headers={"Content-Type": "application/json"})
        assert too_long.status_code == 413
    assert not (tmp_path / "rules.json").exists()


WISHES = [
    {"name": "boost", "kind": "boost", "categories": ["taste-1"], "deviations": 10},
    {"name": "down", "kind": "boost", "categories": ["taste-2"], "deviations": -10},
    {"name": "cap", "kind": "cap", "per": "category", "at_most": 1},
    {"name": "unlike", "kind": "variety", "relevance": 0.1},
    {"name": "enough", "kind": "not_again", "impressions": 1, "hours": 1},
]
USERS = ["user-3", "user-7", "nobody"]


def plainly(client, user, k):
    return client.post("/recommend", json={"user_id": user, "k": k}).json()


def test_rules_tell_nothing_of_a_history_to_who_may_not_see_it(shop, tmp_path, tokens):
    """An attacker without the token, who may choose a user_id and k, and ask as often as he likes."""
    tokens(WRITE)
    lengths = (1, 2, 4, ITEMS)
    with opened(shop, tmp_path) as client:

        def put(*rules):
            assert client.put("/rules", json={"rules": list(rules)}, headers=BY_WRITE).status_code == 200

        def asked():
            return {(user, k): plainly(client, user, k) for user in USERS for k in lengths}

        def told(answers):
            return {
                key: (ids(one), one["rules"], [item["rule"] for item in one["items"]])
                for key, one in answers.items()
            }

        before = told(asked())
        # Who may see histories meets the wishes: what a boost brings up is missing where it was seen.
        put(*WISHES[:1])
        with_token = client.post(
            "/recommend", json={"user_id": "user-7", "k": ITEMS // TASTES}, headers=BY_WRITE
        ).json()
        boosted = {f"item-{item}" for item in range(ITEMS) if item % TASTES == 1}
        assert boosted - set(ids(with_token)) == boosted & history_of(7) != set()
        # Nobody else does, however often he asks.
        put(*WISHES)
        for _ in range(3):
            assert told(asked()) == before
        # Nor has what he asked made anything rest for the shopper.
        put(WISHES[4])
        first = client.post("/recommend", json=ASKED, headers=BY_WRITE).json()
        assert ids(first) == before["user-7", 4][0]
        second = client.post("/recommend", json=ASKED, headers=BY_WRITE).json()
        assert not set(ids(first)) & set(ids(second))
        assert second["rules"] == ["enough"]
        # What is pinned is pinned for everybody, seen or not; the others move on.
        seen, unseen = (
            sorted(history_of(7))[0],
            sorted({f"item-{item}" for item in range(ITEMS)} - history_of(7))[0],
        )
        put(
            {"name": "one", "kind": "pin", "item": seen, "place": 1},
            {"name": "two", "kind": "pin", "item": unseen, "place": 2},
        )
        for (user, k), answer in asked().items():
            pinned = [seen, unseen][:k]
            assert ids(answer)[: len(pinned)] == pinned
            assert [item["rule"] for item in answer["items"]] == [
                *["one", "two"][:k],
                *[None] * (min(k, 4) - len(pinned)),
            ]
            rest = [item for item in before[user, ITEMS][0] if item not in pinned]
            assert ids(answer)[len(pinned) :] == rest[: min(k, 4) - len(pinned)]
        # Of what is left on sale, a list has one in ten at most; that something was left out is not said.
        put(
            {
                "name": "sold out",
                "kind": "out_of_stock",
                "categories": [f"taste-{taste}" for taste in range(1, TASTES)],
            }
        )
        for answer in asked().values():
            assert len(ids(answer)) == 1
            assert answer["rules"] is None
        # Nor do the rules themselves, and who answered them, come to him.
        assert client.get("/rules").status_code == 401

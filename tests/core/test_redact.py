"""No password is shown, whatever form it has; ids are shown without what could do harm."""

import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from sqlalchemy.engine import make_url

from recgan.core.errors import RecganError, Unavailable
from recgan.core.redact import clean, shown

ADDRESSES = [
    "http://bob:hunter2SECRET@127.0.0.1:9/x",
    "postgresql+psycopg://bob:hunter2SECRET@db.example:5432/mlflow",
    "postgresql://bob:a@hunter2SECRET/x@127.0.0.1:9/mlflow",
    "postgresql://bob:hunter2SECRET#1@127.0.0.1:9/mlflow",
    "postgresql://bob:x:hunter2SECRET:y@127.0.0.1:9/mlflow",
    "bob:hunter2SECRET@127.0.0.1/mlflow",
    "file://bob:hunter2SECRET@host/mlflow",
    "https://hunter2SECREThunter2SECRET@git.example/x.git",
    "postgresql://host/db?user=bob&password=hunter2SECRET",
    "postgresql://host/db?sslpassword=hunter2SECRET&sslmode=require",
    "https://hooks.example/x?token=hunter2SECRET",
    "http://127.0.0.1:9/?token=a@/hunter2SECRET",
    "postgresql://host:5432/db?password=x@hunter2SECRET&user=bob",
    "host=db user=bob password='hunter2SECRET' dbname=mlflow",
]
SHOWS = [
    "sqlite:////home/me@corp/mlflow.db",
    "models:/recgan@champion",
    "http://127.0.0.1:5000/#/models",
    "postgres:17@sha256:0123",
    "no champion yet; a version becomes one by passing the gate: make run (other data: --name)",
    "12:30:01 train: token_count 7, 3 tokens a second",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_shows_its_password_known_or_not(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in (address, f"({address}) refused", f"cannot reach '{address}': timed out, gave up"):
        assert "hunter2SECRET" not in clean(text)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert "hunter2SECRET" not in clean(text)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")


@pytest.mark.parametrize("text", SHOWS)
def test_what_is_no_secret_stays(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKENIZERS_PARALLELISM", "AWS_SECRET_ACCESS_KEY", "RECGAN_ALERT_WEBHOOK"):
        monkeypatch.setenv(name, "")
    assert clean(text) == text


def test_the_rest_of_an_address_stays() -> None:
    assert clean("no answer from http://bob:pw@db.example:9/x?a=1") == (
        "no answer from http://***@db.example:9/x?a=1"
    )
    assert clean("https://h/x?token=abc&page=2") == "https://h/x?token=***&page=2"


@pytest.mark.parametrize(
    "name",
    [
        *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RECGAN_POSTGRES_PASSWORD", "PGPASSWORD"),
        *("AZURE_STORAGE_CONNECTION_STRING", "GITHUB_TOKEN"),
    ],
)
@pytest.mark.parametrize("secret", ["hunter2SECRET", "p w/d+1=x", 'quo"te\\d', "schlüssel%41x"])
def test_a_secret_of_the_environment_is_hidden_however_it_is_written(
    name: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, secret)
    for form in (secret, quote(secret, safe=""), quote(secret, safe="").lower(), json.dumps(secret)[1:-1]):
        assert clean(f"403 for {form}, they say") == "403 for ***, they say"
    assert secret not in clean(repr({"x": secret}))


def test_a_password_is_hidden_apart_from_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://bob:p%40ss%2Fwo%3Ard@127.0.0.1/mlflow"
    monkeypatch.setenv("RECGAN_LOCK_DATABASE", uri)
    password = make_url(uri).password
    assert password == "p@ss/wo:rd"
    assert clean(f"password {password!r} of bob") == "password '***' of bob"
    assert clean(f"{uri.partition('@')[0]}") == "postgresql://***"


def test_a_part_of_a_wrongly_cut_address_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://bob:a@hunter2SECRET/x@127.0.0.1:9/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    host = make_url(uri).host
    assert host == "hunter2SECRET"
    assert clean(f"could not translate host name {host!r}") == "could not translate host name '***'"


def test_a_webhooks_path_is_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECGAN_ALERT_WEBHOOK", "https://hooks.example/services/T0/B0/xyzxyz")
    assert "xyzxyz" not in clean("HTTPConnectionPool(host='hooks.example'): url: /services/T0/B0/xyzxyz")


def test_dvcs_own_credentials_are_hidden(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config.local").write_text(
        "['remote \"x\"']\n    url = ssh://bob:hunter2SECRET@host/x\n    secret_access_key = s3cr3tKEY\n"
    )
    assert clean("ERROR: bob hunter2SECRET s3cr3tKEY") == "ERROR: bob *** ***"


def test_headers_and_dumped_settings_are_hidden() -> None:
    for text in (
        "Authorization: Basic Ym9iOmh1bnRlcjI=",
        "{'Authorization': 'Bearer Ym9iOmh1bnRlcjI='}",
        '{"password": "Ym9iOmh1bnRlcjI="}',
        "curl -H 'X-Api-Key=Ym9iOmh1bnRlcjI='",
    ):
        assert "Ym9iOmh1bnRlcjI" not in clean(text)
    assert "AKIA" not in clean("InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE")


def test_errors_are_clean_by_themselves() -> None:
    for kind in (RecganError, Unavailable):
        assert str(kind(f"no answer from {ADDRESSES[0]}")) == "no answer from http://***@127.0.0.1:9/x"


def test_every_log_line_and_uncaught_error_of_a_process_is_clean() -> None:
    code = f"""
import logging, sys, threading
from recgan.core.environment import configure
configure(); configure()
logging.basicConfig(stream=sys.stdout)
try:
    raise ValueError({ADDRESSES[0]!r})
except ValueError:
    logging.getLogger("foreign").exception("cannot reach %s", {ADDRESSES[1]!r})
def fail():
    raise OSError({ADDRESSES[2]!r})
thread = threading.Thread(target=fail); thread.start(); thread.join()
raise KeyError({ADDRESSES[3]!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert all(name in said for name in ("cannot reach", "ValueError", "OSError", "KeyError"))
    # The source lines in a traceback are this program's; its own text above holds no secret but these.
    assert "hunter2SECRET" not in said


def test_a_hostile_id_is_shown_in_one_harmless_line() -> None:
    assert shown("a\nerror: all is lost\x1b[2J") == r"a\nerror: all is lost\x1b[2J"
    assert shown("x\u202ey\u2028z\x85\u200b") == r"x\u202ey\u2028z\x85\u200b"
    assert shown("\ud800") == r"\ud800"
    assert shown("müsli 🥣") == "müsli 🥣"
    assert len(shown("x" * 10_000)) == 81


def test_an_error_gives_a_terminal_no_orders_and_keeps_its_lines() -> None:
    assert str(RecganError("one\n\ttwo \x1b[2J \x9b31m \r\u202ethree")) == (
        "one\n\ttwo \\x1b[2J \\x9b31m \\r\\u202ethree"
    )


def test_an_address_in_an_id_is_masked_and_numbers_stay() -> None:
    assert shown("anna@shop.example") == "a…@…"
    assert shown("mailto:anna@shop.example") == "m…@…"
    assert shown("anna%40shop.example") == "a…@…"
    assert shown("+49 170 1234567") == "+49…"
    assert [shown(one) for one in (17850, "4006381333931", "B00-12", "a@")] == [
        *("17850", "4006381333931", "B00-12", "a@")
    ]


def test_a_long_text_takes_no_quadratic_time() -> None:
    # A hundred times as long as an error of today; quadratic work would run into the test's time limit.
    for text in ("a:" * 200_000, "x" * 400_000, "://" * 100_000, "token" * 80_000, "'token" * 60_000):
        assert clean(text) == text

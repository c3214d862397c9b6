"""What may be shown: text without passwords, and ids without control characters or e-mail addresses.

Every error, log line and answer passes through `clean`, since foreign libraries put whole addresses into
what they raise. An id of a shopper or an item is shown by `shown`.
"""

import base64
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"

_SHORTEST = 4
"""Characters: a shorter secret would blacken ordinary words, so it is hidden inside addresses alone."""
_LONGEST_ID = 80

_NAMES = (
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key"
    r"|signature|credential|auth[_-]?string|connection[_-]?string"
)
_SECRET_VARIABLE = re.compile(
    rf"(?!(OLD)?PWD$)(^|_)(PG|DB)?({_NAMES}|webhook)S?(?!_?(FILE|PATH|URI|ID)$)($|_)", re.I
)
_ADDRESS_VARIABLE = re.compile(r"(^|_)(URI|URL|URIS|URLS|DATABASE|DSN|PROXY|ENDPOINT|REMOTE)$", re.I)
_HARMLESS = re.compile(r"true|false|none|null|yes|no|[\d.]{1,3}", re.I)

# All repeats are bounded: a long text must not take a quadratic time.
# Up to the last @ of a word, since a password may hold one that should have been written %40. Nothing before
# the @ of sqlite:////home/me@corp/… is a password: an address without a host has no user either.
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]{0,40}://)(?!/)[^\s'\"<>]{0,400}@", re.I)
# The same without its scheme, as people mistype it; models:/recgan@champion and image@sha256:… are none.
_NO_SCHEME = re.compile(r"(?<![\w/])[^\s/:@'\"]{1,100}:(?!/)[^\s'\"]{0,400}@(?!sha\d+:)(?=[\w\[])")
_PARAMETER = re.compile(
    rf"((?:{_NAMES})[\w.-]{{0,40}}(?:\s?=\s?|%3D))('[^']*'|\"[^\"]*\"|[^\s&;,'\"<>)\]}}]+)", re.I
)
_QUOTED = re.compile(rf"((?:{_NAMES})[\w.-]{{0,40}}['\"]\s?:\s?)(['\"])(?:(?!\2).)*\2", re.I)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?|\bbearer\s+)(?=\S{8})[^\s'\",]+", re.I)
_AWS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")

_DVC_CONFIGS = (".dvc/config", ".dvc/config.local", "~/.config/dvc/config")
_DVC_LINE = re.compile(rf"^\s*(\w*(?:{_NAMES})\w*|url)\s*=\s*(.+?)\s*$", re.I | re.M)

# Within a line of a CSV file too: neither commas nor quote signs are part of an address.
_EMAIL = re.compile(r"([^\s@%,;'\"])[^\s@%,;'\"]*(?:@|%40)[^\s@,;'\"]+", re.I)
_PHONE = re.compile(r"(?<!\w)(\+\d{2})[\d ()./-]{5,}")


def clean(text: str) -> str:
    """Return a text without passwords, tokens and keys.

    There are two ways, since neither finds all. One is by form: the user in an address, ?password=, an
    Authorization header. The other is by value, for every secret in this process's environment or in DVC's
    configuration, percent-encoded or not. Orders to a terminal are escaped; lines stay lines.
    """
    text = _secrets(frozenset(os.environ.items()), _dvc_configs()).sub(HIDDEN, text)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _NO_SCHEME.sub(f"{HIDDEN}@", text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    text = _QUOTED.sub(rf"\1\2{HIDDEN}\2", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    return _printed(_AWS_KEY.sub(HIDDEN, text), "\n\t")


def shown(identifier: object) -> str:
    r"""Return an id of a shopper or an item as people may see it in logs, messages and pages.

    Characters that are not printed are escaped (a line break as \n). Otherwise an id could forge a line of
    the log or give orders to a terminal. Of an e-mail address the first character is left, of a telephone
    number that begins with + the country. Digits alone are left: most shops number their shoppers and items.
    """
    text = str(identifier)
    if len(text) > _LONGEST_ID:
        text = f"{text[:_LONGEST_ID]}…"
    return _printed(_PHONE.sub(r"\1…", _EMAIL.sub(r"\1…@…", text)))


def install() -> None:
    """Clean every log record of this process, of whatever library, and every uncaught error."""
    if isinstance(sys.excepthook, _Uncaught):
        return
    sys.excepthook = _Uncaught(sys.excepthook)
    threading.excepthook = _uncaught_in_thread
    make = logging.getLogRecordFactory()

    def record(*arguments: Any, **named: Any) -> logging.LogRecord:
        made = make(*arguments, **named)
        try:
            message = made.getMessage()
        except Exception:  # a library's own mistake, which its handler reports
            return made
        if (cleaned := clean(message)) != message:
            made.msg, made.args = cleaned, None
        if made.exc_info and made.exc_info[1] is not None:
            # A formatter takes this text where it is there, instead of making its own.
            made.exc_text = clean("".join(traceback.format_exception(made.exc_info[1])).rstrip())
        return made

    logging.setLogRecordFactory(record)


def _printed(text: str, kept: str = "") -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else repr(one)[1:-1] for one in text)


class _Uncaught:
    def __init__(self, before: Callable[..., object]) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):  # no fault, and a program may have a line for it
            self._before(kind, error, where)
            return
        sys.stderr.write(clean("".join(traceback.format_exception(kind, error, where))))


def _uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_type is SystemExit or caught.exc_value is None:
        return
    name = caught.thread.name if caught.thread else "a thread"
    said = "".join(traceback.format_exception(caught.exc_value))
    sys.stderr.write(clean(f"Exception in thread {name}:\n{said}"))


@lru_cache(maxsize=4)
def _secrets(environment: frozenset[tuple[str, str]], dvc: str) -> re.Pattern[str]:
    """Return what matches every secret, the longest first, in any case.

    %2f is %2F, and a part of an address that was taken for a host comes back in small letters.
    """
    given = {*_of_environment(environment), *_of_dvc(dvc)}
    forms = {form for secret in given if not _HARMLESS.fullmatch(secret) for form in _forms(secret)}
    long = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long)) or r"(?!)", re.I)


def _of_environment(environment: frozenset[tuple[str, str]]) -> Iterator[str]:
    for name, value in environment:
        if _SECRET_VARIABLE.search(name):
            yield value
            yield value.partition(":")[2]  # user:password, as PREFECT_API_AUTH_STRING has it
        if name.upper().endswith("WEBHOOK"):  # its path is its secret
            yield value.partition("://")[2].partition("/")[2]
        if _ADDRESS_VARIABLE.search(name) or "://" in value:
            yield from _of_addresses(value, mistyped=_ADDRESS_VARIABLE.search(name) is not None)


def _of_dvc(configs: str) -> Iterator[str]:
    for name, value in _DVC_LINE.findall(configs):
        yield from _of_addresses(value) if name.lower() == "url" else [value]


def _dvc_configs() -> str:
    texts = []
    for file in _DVC_CONFIGS:
        with suppress(OSError, RuntimeError, UnicodeDecodeError):
            texts.append(Path(file).expanduser().read_text(encoding="utf-8"))
    return "\n".join(texts)


def _of_addresses(value: str, mistyped: bool = True) -> Iterator[str]:
    """Yield the secrets within one address or several; of mistyped ones too, which lack their `://`."""
    for parameter in _PARAMETER.finditer(value):
        yield parameter[2].strip("'\"")
    for address in re.split(r"(?<![a-z0-9+.-])(?=[a-z][a-z0-9+.-]*://)", value, flags=re.I):
        scheme = re.match(r"[a-z][a-z0-9+.-]*:/{1,2}", address, re.I)
        rest = address[scheme.end() :] if scheme else address
        userinfo, at, _ = rest.rpartition("@")
        if not at or rest.startswith("/") or not (scheme or mistyped) or _PARAMETER.search(userinfo):
            continue  # what is before the @ of ?token=a@b is no user; hidden by itself it would leave the b
        user, colon, password = userinfo.partition(":")
        if not colon:
            if len(user) >= 20:  # a token in the user's place; a user's name is none
                yield user
        elif password != user:
            yield password
            yield f"{user}:{password}"
            # A reader of such an address cuts it at the wrong place, and then shows a part as host or port.
            yield from re.split(r"[@/#?:]", password)


def _forms(secret: str) -> set[str]:
    """Return a secret as it may be written: decoded, encoded, escaped, in a Basic header."""
    plain = unquote(secret)
    forms = {secret, plain}
    for one in (secret, plain):
        raw = one.encode(errors="surrogateescape")
        forms |= {quote(raw), quote(raw, safe=""), quote(raw, safe=" +"), quote_plus(raw)}
        forms |= {repr(one)[1:-1], json.dumps(one)[1:-1], base64.b64encode(raw).decode()}
    return forms

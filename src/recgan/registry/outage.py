"""Faults that pass: what outside does not answer is `Unavailable`, so it is tried again and never judged."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import sqlalchemy
from botocore import exceptions as s3
from mlflow.exceptions import MlflowException

from recgan.core.errors import RecganError, Unavailable

_PASSING_CODES = {
    "INTERNAL_ERROR",  # also what MLflow calls a download that broke off
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "CANCELLED",
}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_PASSING_ERRNO = _FULL | {
    *(errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
    *(errno.EPIPE, errno.ETIMEDOUT),
}
_TRANSPORT = (
    MemoryError,
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    s3.ConnectionError,
    s3.HTTPClientError,
)
_NO_FOLDER = "No usable temporary directory"  # what tempfile says where every disk is full
_LONGEST = 300  # characters of a foreign message


@contextmanager
def outside() -> Iterator[None]:
    """Turn a fault of the registry, the network or the disk into one sentence; others pass unchanged.

    Also a decorator: every public function that reaches MLflow or its files wears it.

    Raises:
        Unavailable: something outside does not answer, or there is no room or memory left.
    """
    try:
        yield
    except RecganError:
        raise
    except Exception as error:
        cause = _passing(error)
        if cause is None:
            raise
        raise unavailable(cause) from error


def unavailable(cause: BaseException) -> Unavailable:
    """Say in one sentence what does not answer, and what to do."""
    what = " ".join(str(cause).split()) or type(cause).__name__
    what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]} …"
    if _is_full(cause):
        return Unavailable(
            f"no room is left on the disk: {what}; make room there and in {_temporary()}, the folder of "
            "temporary files (TMPDIR names another), then run this again"
        )
    if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
        return Unavailable(f"there is not enough memory: {what}; free some, then run this again")
    return Unavailable(
        f"MLflow's store or its files do not answer: {what}; see that both are there, then run this again"
    )


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # there is room in none
        return os.environ.get("TMPDIR", "the system's")


def _passing(error: BaseException) -> BaseException | None:
    """Return the fault that passes among an error and its causes; None without.

    The first one says most, but that the disk is full is said by the last.
    """
    found = []
    link: BaseException | None = error
    while link is not None:
        if _passes(link):
            found.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return next((one for one in found if _is_full(one)), found[0] if found else None)


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and (error.errno in _FULL or _NO_FOLDER in str(error)):
        return True
    return isinstance(error, MlflowException) and os.strerror(errno.ENOSPC) in str(error)  # in its own words


def _passes(error: BaseException) -> bool:
    if isinstance(error, MlflowException):
        return error.error_code in _PASSING_CODES
    if isinstance(error, s3.ClientError):  # what S3 answered
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == 429)
    if isinstance(error, OSError) and (error.errno in _PASSING_ERRNO or _NO_FOLDER in str(error)):
        return True
    return isinstance(error, _TRANSPORT)

"""The one exception that users are meant to read."""

from recgan.core.redact import clean


class RecganError(Exception):
    """Say what is wrong, with the value, then the remedy.

    The command line prints it as a single `error:` block without a traceback and exits with 1. Its text is
    cleaned of passwords here, since most of what goes wrong outside is quoted in one.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(clean(one) if isinstance(one, str) else one for one in said))


class Unavailable(RecganError):  # noqa: N818  (it says what is the matter, as the standard library's Timeout does)
    """Something outside does not answer: the very same command may succeed later."""

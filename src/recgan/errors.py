"""The one exception that users are meant to read."""


class RecganError(Exception):
    """Say what is wrong, with the value, then the remedy.

    The command line prints it as a single `error:` block without a traceback and exits with 1.
    """


class Unavailable(RecganError):  # noqa: N818  (it says what is the matter, as the standard library's Timeout does)
    """Something outside does not answer: the very same command may succeed later."""

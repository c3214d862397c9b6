"""Loggers that say less for a while."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_level(level: int, *names: str) -> Iterator[None]:
    """Let loggers say only what has a level at least; their own levels come back afterwards.

    Args:
        level: one of logging's, such as logging.ERROR.
        names: of the loggers.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(level)
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)

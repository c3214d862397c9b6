"""Loggers that say less for a while."""

import logging

import pytest

from recgan.core.quiet import at_level


def test_levels_come_back_after_an_error_too(caplog):
    loud, quiet = logging.getLogger("loud"), logging.getLogger("loud.quiet")
    loud.setLevel(logging.INFO)
    with pytest.raises(KeyError), at_level(logging.ERROR, "loud", "loud.quiet"):
        loud.info("not said")
        quiet.warning("nor this")
        raise KeyError
    loud.info("said")
    assert (loud.level, quiet.level) == (logging.INFO, logging.NOTSET)
    assert caplog.messages == ["said"]

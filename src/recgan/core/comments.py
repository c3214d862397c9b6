"""YAML that is changed or put together with its comments kept."""

import io
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from recgan.core.errors import RecganError
from recgan.core.yaml12 import parse_yaml


def read_with_comments(text: bytes, path: Path) -> Any:
    """Read YAML such that `written` gives its comments and layout again; `path` is for messages.

    Raises:
        RecganError: the parser that keeps comments cannot read what the other one reads, such as a tab
            between values.
    """
    try:
        return _yaml().load(text.decode("utf-8"))
    except YAMLError as error:
        raise RecganError(
            f"{path} cannot be changed with its comments kept: {str(error).splitlines()[0]}; "
            "write its values in the plain form that examples/ have"
        ) from None


def written(commented: Any, content: dict[str, Any], path: Path) -> bytes:
    """Write what `read_with_comments` returned, and check that it says what it should.

    Args:
        commented: perhaps changed.
        content: the same as plain values, with the same changes.
        path: the file that a fault is said to be in.

    Raises:
        RecganError: read again, it has other values: an anchor puts one value in several places.
    """
    text = io.StringIO()
    _yaml().dump(commented, text)
    encoded = text.getvalue().encode()
    if _compared(parse_yaml(encoded, path)) != _compared(content):
        raise RecganError(
            f"{path} cannot be changed in one place alone; write out what its anchors (& and *) share, "
            "and run it again"
        )
    return encoded


def _compared(content: dict[str, Any]) -> str:
    """Return a text by which 1, 1.0 and true differ."""
    return json.dumps(content, sort_keys=True)


class _Representer(RoundTripRepresenter):
    """Writes null as it stands in the files, where ruamel leaves a blank."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 120
    return yaml

"""The file of a shop's rules, and the same JSON as the body of PUT /rules: read, checked, written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.core.redact import shown
from recgan.online.rules import KINDS, Rules

MAX_BYTES = 64 * 2**20
"""Of the file: a million ids."""
_EXAMPLE = '{"name": "sold out", "kind": "out_of_stock", "items": ["50"]}'


def rules_path(root: Path, name: str) -> Path:
    """Return where the rules of a registered model's server lie."""
    return root / layout.RULES / f"{name}.json"


def is_there(path: Path) -> bool:
    """Tell whether there is a file of rules to read; a link to nothing is one that cannot be read."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # to take it for none would show what it forbids
    return True


def read_rules(path: Path) -> Rules:
    """Read and check the file.

    Raises:
        RecganError: it cannot be read, or a rule is none.
    """
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise RecganError(f"{path} is a folder; put the file of rules in its place, or remove it") from None
    except FileNotFoundError:
        raise RecganError(
            f"{path} leads to no file; let the link lead to the file of rules, or remove it"
        ) from None
    except OSError as error:
        raise RecganError(f"{path} cannot be read ({error}); see to its permissions") from None
    return parse_rules(content, str(path))


def parse_rules(content: bytes, where: str) -> Rules:
    """Check the content of the file, or the body of PUT /rules.

    Args:
        content: JSON.
        where: it is from, for the error.

    Raises:
        RecganError: of the first fault: which rule, which value, and what to do.
    """
    if len(content) > MAX_BYTES:
        raise RecganError(f"{where} has {len(content):,} bytes; keep it under {MAX_BYTES:,}")
    try:
        rules = Rules.model_validate_json(content)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    else:
        check_keys(content, where)
        return rules
    found = None if faults[0]["type"] == "json_invalid" else json.loads(content)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    raise RecganError(f"{where}: {fault_of(found, faults[0])}{more}")


def check_keys(content: bytes, where: str) -> None:
    """Refuse JSON in which a key stands twice: the last would win, and the rules before it be lost.

    Args:
        content: JSON.
        where: it is from, for the error.

    Raises:
        RecganError: a key stands twice in one object.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise RecganError(
                    f"{where}: the key {shown(key)!r} stands twice in one object; keep one of them"
                )
            found[key] = value
        return found

    json.loads(content, object_pairs_hook=once)


def fault_of(content: Any, fault: Mapping[str, Any]) -> str:
    """Say which rule is at fault, with which value, and what to do.

    Args:
        content: the JSON that is no rules.
        fault: one of pydantic's, its place beginning at the whole.
    """
    place, message = list(fault["loc"]), str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        return f'{message}; write JSON such as {{"rules": []}}'
    if place[:1] != ["rules"] or len(place) < 2:
        said = ".".join(map(str, place))
        return f"{shown(said)}: {message}" if said else message
    number = place[1]
    found = content["rules"][number]
    name = found.get("name") if isinstance(found, dict) else None
    rule = f"rule {shown(name)!r}" if isinstance(name, str) and name else f"rule {number + 1}"
    if not isinstance(found, dict):
        return f"{rule} is {_quoted(found)}, no object; write one such as {_EXAMPLE}"
    if fault["type"] == "union_tag_not_found":
        return f"{rule}: kind is missing; give one of {', '.join(KINDS)}"
    if fault["type"] == "union_tag_invalid":
        return f"{rule}: kind is {_quoted(found['kind'])}; give one of {', '.join(KINDS)}"
    field = ".".join(str(part) for part in place[3:])  # behind the number stands the kind
    if fault["type"] == "extra_forbidden":
        return f"{rule}: {shown(field)!r} is no part of a rule of this kind; remove it"
    if fault["type"] == "missing":
        return f"{rule}: {field} is missing; give it"
    if not field:
        return f"{rule}: {message}"
    return f"{rule}: {field} is {_quoted(fault['input'])}: {message}"


def _quoted(value: Any) -> str:
    """Return a value as it stands in JSON; of a long one the beginning, text within its quotes."""
    if isinstance(value, str):
        return f'"{shown(value)}"'
    return shown(json.dumps(value, default=str, ensure_ascii=False))


def write_rules(rules: Rules, path: Path) -> None:
    """Replace the file in one step.

    Raises:
        RecganError: it cannot be written.
    """
    content = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    try:
        with replacing(path) as new:
            new.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RecganError(
            f"{path} cannot be written ({error.strerror}); nothing has changed: let the server write there, "
            "or replace the file yourself"
        ) from None

"""The params file that is written: only what differs from its base, and why."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recgan.core.differences import section_below
from recgan.core.redact import shown
from recgan.settings import Params

_WIDTH = 110


@dataclass
class Draft:
    """Values by their dotted names, with a comment for each that needs one."""

    base: Mapping[str, Any]
    """What the base comes to."""
    content: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: Any, comment: str = "") -> None:
        """Set `features.split.test_days` to a value, where the base has another one."""
        *sections, last = name.split(".")
        inside: Any = self.base
        for section in sections:
            inside = inside.get(section, {}) if isinstance(inside, Mapping) else {}
        if isinstance(inside, Mapping) and last in inside and inside[last] == value:
            return
        place = self.content
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
        if comment:
            self.comments[name] = comment


def text(draft: Draft, base: str, heading: str, listed: Mapping[str, Mapping[str, str]]) -> str:
    """Write a draft as YAML.

    Args:
        draft: the values.
        base: path of the base, from the file's own folder.
        heading: comment at the top.
        listed: name of a list → why each of its values is in it; such a list has a line for each.
    """
    lines = [f"# {line}" for line in heading.splitlines()]
    lines += [f"base: {json.dumps(base, ensure_ascii=False)}"]
    for name, section in draft.content.items():
        lines += ["", *_lines(draft, name, section, draft.base, Params, "", "", listed)]
    return "\n".join(lines) + "\n"


def _lines(
    draft: Draft,
    name: str,
    value: Any,
    base: Any,
    section: Any,
    inside: str,
    indent: str,
    listed: Mapping[str, Mapping[str, str]],
) -> Iterator[str]:
    place = f"{inside}{name}"
    held = base.get(name) if isinstance(base, Mapping) else None
    below = section_below(section, name, held, value) if section is not None else None
    comment = f"    # {draft.comments[place]}" if place in draft.comments else ""
    if comment and len(indent) + len(name) + len(_flow(value)) + len(comment) > _WIDTH:
        yield f"{indent}{comment.strip()}"
        comment = ""
    if isinstance(value, dict) and value and (below is not None or not inside):
        yield f"{indent}{name}:"
        for key, one in value.items():
            yield from _lines(draft, key, one, held, below, f"{place}.", f"{indent}  ", listed)
    elif place in listed and value:
        yield f"{indent}{name}:{comment}"
        for one in value:
            why = listed[place].get(one)
            yield f"{indent}  - {_flow(one)}" + (f"    # {shown(why)}" if why else "")
    elif isinstance(value, dict) and len(indent) + len(name) + len(_flow(value)) > _WIDTH:
        yield f"{indent}{name}:{comment}"
        for key, one in value.items():
            yield f"{indent}  {_flow(key)}: {_flow(one)}"
    else:
        yield f"{indent}{name}: {_flow(value)}{comment}"


def _flow(value: Any) -> str:
    """Write a value in YAML's flow style: quotes stand where a text could be read as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    words = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z_]{2,}( [A-Za-z_]+)*", value)
    if words and value.lower() not in ("null", "true", "false", "yes", "off", "inf", "nan"):
        return str(value)
    return json.dumps(value, ensure_ascii=False)

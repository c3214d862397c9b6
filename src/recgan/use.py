"""Put other parameters in place of params.yaml, whole or in part, and lose nothing of what it held."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.comments import read_with_comments, written
from recgan.core.differences import merged_layers, read_layers
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.core.merged_text import merged_text
from recgan.core.yaml12 import parse_yaml
from recgan.settings import Params, check_params, read_with_base

EXAMPLES = "examples"

_SHOWN = 5
"""Differing values that are named; the others are counted."""


@dataclass(frozen=True)
class Replaced:
    """What became of params.yaml."""

    path: Path
    changed: bool
    """False where it held the very same before."""
    before: Path | None
    """The file that holds what it held before; None where there was none, or nothing has changed."""
    differing: tuple[str, ...]
    """One text for each value that is another one now."""


def use(example: str, folder: Path | None = None, root: Path = Path()) -> Replaced:
    """Replace params.yaml by the whole of an example, keeping what it held.

    Args:
        example: a name in examples/ such as `ml-100k`, or the path of a params file; what either leaves to
            its `base` is written out.
        folder: becomes `ingest.path`, where the raw files are.
        root: the project.

    Raises:
        RecganError: no such example or folder, or the file has faults; params.yaml is then untouched.
    """
    examples = _examples(root)
    source = examples.get(example, Path(example))
    if not source.is_file():
        raise RecganError(
            f"no example {example!r}; choose one of {', '.join(examples)}, or give a file's path"
        )
    if folder is not None and not (root / folder).exists():
        raise RecganError(f"no folder {folder}; give the folder that holds the raw files of {example}")
    text, content = whole(source)
    if folder is not None and isinstance(content.get("ingest"), dict):
        content["ingest"]["path"] = str(folder)
        check_params(content, source)
        commented = read_with_comments(text, source)
        commented["ingest"]["path"] = str(folder)
        text = written(commented, content, source)
    return put_in_place(text, source, root)


def whole(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the text of a params file with what its bases hold, comments included, and its content.

    Raises:
        RecganError: a base cannot be followed, or the whole has faults; those of a file without a base are
            not looked for.
    """
    layers = read_layers(path)
    if len(layers) > 1:
        check_params(merged_layers(layers, Params), path)
    return merged_text(layers, Params)


def put_in_place(text: bytes, source: Path, root: Path = Path()) -> Replaced:
    """Make this text params.yaml, keeping what it held.

    What it held stays in params.yaml.bak, or in the next free one of params.yaml.bak.1, params.yaml.bak.2 and
    so on. No such file is ever written twice. Where an example or an earlier one holds the very same, no
    further one is made.

    Args:
        text: of a params file.
        source: the file that its faults are said to be in.
        root: the project.

    Raises:
        RecganError: the text has faults; params.yaml is then untouched.
    """
    content = parse_yaml(text, source)
    check_params(content, source)
    target = root / layout.PARAMS
    held = target.read_bytes() if target.exists() else None
    if held == text:
        return Replaced(target, changed=False, before=None, differing=())
    before = None if held is None else _keep(held, root)
    differing = () if held is None else tuple(_differing(target, content))
    with replacing(target) as new:
        new.write_bytes(text)
    return Replaced(target, changed=True, before=before, differing=differing)


def sentence(replaced: Replaced, what: str) -> str:
    """Say what became of params.yaml, in what it differs, and where the old one is."""
    if not replaced.changed:
        return f"{replaced.path} holds {what} already"
    if replaced.before is None:
        return f"{replaced.path} now holds {what}"
    n = len(replaced.differing)
    back = f"cp {replaced.before} {replaced.path}"
    if replaced.before.parent.name == EXAMPLES:
        back = f"recgan use {replaced.before.stem}"
    shown = list(replaced.differing[:_SHOWN]) + ([f"and {n - _SHOWN} more"] if n > _SHOWN else [])
    return "\n".join(
        [
            f"{replaced.path} now holds {what}; "
            + (f"{n} value{'s differ' if n > 1 else ' differs'}:" if n else "no value differs"),
            *(f"  {line}" for line in shown),
            f"what it held before is in {replaced.before}; back again: {back}",
        ]
    )


def _examples(root: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((root / EXAMPLES).glob("*.yaml"))}


def _keep(held: bytes, root: Path) -> Path:
    """Return a file with this content, or an example that comes to it: one that is there, or a new one."""
    for path in sorted(root.glob("params.yaml.bak*")):
        if path.is_file() and path.read_bytes() == held:
            return path
    for path in _examples(root).values():
        with suppress(RecganError):  # a faulty one holds nothing
            if read_with_base(path) == parse_yaml(held, path) and whole(path)[0] == held:
                return path
    for number in count():
        path = root / ("params.yaml.bak" if number == 0 else f"params.yaml.bak.{number}")
        try:
            with path.open("xb") as file:  # fails where there is one
                file.write(held)
        except FileExistsError:
            continue
        except OSError:
            path.unlink(missing_ok=True)  # half of it would pass for the whole
            raise
        return path
    raise AssertionError("endless")


def _differing(held: Path, content: dict[str, Any]) -> Iterator[str]:
    try:
        before = dict(_leaves(read_with_base(held)))
    except RecganError:
        yield "all: what it held could not be read"
        return
    now = dict(_leaves(content))
    for name in before | now:
        was, became = (_short(values[name]) if name in values else "nothing" for values in (before, now))
        if was != became:
            yield f"{name}: {was}, now {became}"


def _leaves(value: dict[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for name, below in value.items():
        if isinstance(below, dict) and below:
            yield from _leaves(below, f"{inside}{name}.")
        else:
            yield f"{inside}{name}", below


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Put other parameters in place of params.yaml, whole or in part, and lose nothing of what it held."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import replacing
from recgan.core.yaml12 import parse_yaml
from recgan.settings import check_params

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
    """Replace params.yaml by an example, keeping what it held.

    Args:
        example: a name in examples/ such as `ml-100k`, or the path of a params file.
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
    text = source.read_bytes()
    content = parse_yaml(text, source)
    if folder is not None and isinstance(content.get("ingest"), dict):
        content["ingest"]["path"] = str(folder)
        check_params(content, source)
        commented = read_with_comments(source)
        commented["ingest"]["path"] = str(folder)
        text = written(commented, content, source)
    return put_in_place(text, source, root)


def read_with_comments(path: Path) -> Any:
    """Read YAML such that `written` gives its comments and layout again.

    Raises:
        RecganError: the parser that keeps comments cannot read what the other one reads, such as a tab
            between values.
    """
    try:
        return _yaml().load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise RecganError(
            f"{path} cannot be changed with its comments kept: {str(error).splitlines()[0]}; "
            "write its values in the plain form that examples/ have"
        ) from None


def written(commented: Any, content: dict[str, Any], source: Path) -> bytes:
    """Write what `read_with_comments` returned, and check that it says what it should.

    Args:
        commented: perhaps changed.
        content: the same as plain values, with the same changes.
        source: the file that a fault is said to be in.

    Raises:
        RecganError: read again, it has other values: an anchor puts one value in several places.
    """
    text = io.StringIO()
    _yaml().dump(commented, text)
    encoded = text.getvalue().encode()
    if _compared(parse_yaml(encoded, source)) != _compared(content):
        raise RecganError(
            f"{source} cannot be changed in one place alone; write out what its anchors (& and *) share, "
            "and run it again"
        )
    return encoded


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
    with replacing(target) as new:
        new.write_bytes(text)
    differing = () if held is None else tuple(_differing(held, content))
    return Replaced(target, changed=True, before=before, differing=differing)


def sentence(replaced: Replaced, what: str) -> str:
    """Say what became of params.yaml, in what it differs, and where the old one is."""
    if not replaced.changed:
        return f"{replaced.path} holds {what} already"
    if replaced.before is None:
        return f"{replaced.path} now holds {what}"
    n = len(replaced.differing)
    shown = list(replaced.differing[:_SHOWN]) + ([f"and {n - _SHOWN} more"] if n > _SHOWN else [])
    return "\n".join(
        [
            f"{replaced.path} now holds {what}; "
            + (f"{n} value{'s differ' if n > 1 else ' differs'}:" if n else "no value differs"),
            *(f"  {line}" for line in shown),
            f"what it held before is in {replaced.before}; back again: cp {replaced.before} {replaced.path}",
        ]
    )


def _examples(root: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((root / "examples").glob("*.yaml"))}


def _keep(held: bytes, root: Path) -> Path:
    """Return a file with this content: one that is there, or a new one."""
    for path in (*_examples(root).values(), *sorted(root.glob("params.yaml.bak*"))):
        if path.is_file() and path.read_bytes() == held:
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


def _differing(held: bytes, content: dict[str, Any]) -> Iterator[str]:
    try:
        before = dict(_leaves(parse_yaml(held, Path("params.yaml"))))
    except RecganError:
        yield "all: what it held was no readable YAML"
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

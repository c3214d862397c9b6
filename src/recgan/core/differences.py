"""Params files that say only in what they differ from another one, which they name as their `base`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from recgan.core.errors import RecganError
from recgan.core.sections import Section, kinds_of
from recgan.core.yaml12 import parse_yaml

BASE = "base"
"""The name under which a file names its base: a path relative to the file's own folder."""


@dataclass(frozen=True)
class Layer:
    """One file of a chain of bases."""

    path: Path
    text: bytes
    content: dict[str, Any]
    """Without `base`."""


def read_layers(path: Path) -> list[Layer]:
    """Read a params file and its bases, the innermost base first and the file itself last.

    Raises:
        FileNotFoundError: there is no such file; what to do about it depends on the file.
        RecganError: a base is missing, names no file or leads back to itself, or a file is no YAML.
    """
    layers = [_layer(path)]
    above = [path]
    while BASE in layers[0].content:
        named = layers[0].content.pop(BASE)
        if not isinstance(named, str):
            raise RecganError(f"{above[-1]} has the base {named!r}; name a params file, from its own folder")
        base = above[-1].parent / named
        if base.resolve() in {other.resolve() for other in above}:
            circle = " → ".join(map(str, [*above, base]))
            raise RecganError(f"the bases of {path} go round in a circle: {circle}; take one `base:` out")
        if not base.is_file():
            raise RecganError(
                f"{above[-1]} has the base {named}, and there is no file {base}; mend the path, which is "
                "relative to the file's own folder"
            )
        layers.insert(0, _layer(base))
        above.append(base)
    return layers


def _layer(path: Path) -> Layer:
    text = path.read_bytes()
    return Layer(path, text, parse_yaml(text, path))


def merged_layers(layers: list[Layer], whole: type[Section]) -> dict[str, Any]:
    """Return what all layers hold together, the later ones on top."""
    content: dict[str, Any] = {}
    for layer in layers:
        content = merged(content, layer.content, whole)
    return content


@dataclass(frozen=True)
class Table:
    """A table of free names, each with a section that says which of several kinds it is."""

    value: Any
    """The annotation of its values."""


def merged(
    base: dict[str, Any], difference: dict[str, Any], section: type[Section] | Table
) -> dict[str, Any]:
    """Put a difference on a base: a section field by field, any other value in place of the base's.

    In a table null takes a name out.
    """
    content = dict(base)
    for name, value in difference.items():
        below = section_below(section, name, base.get(name), value)
        if value is None and isinstance(section, Table):
            content.pop(name, None)
        else:
            content[name] = value if below is None else merged(base[name], value, below)
    return content


def section_below(
    section: type[Section] | Table, name: str, base: Any, value: Any
) -> type[Section] | Table | None:
    """Return the section whose fields two values share; None where the second value replaces the first.

    Lists, numbers, null and tables of anything else than such sections replace. So does a section that names
    another of several kinds than the base's, which has other fields.
    """
    if not isinstance(base, dict) or not isinstance(value, dict):
        return None
    annotation = _annotation(section, name)
    plain = annotation.annotation if isinstance(annotation, FieldInfo) else annotation
    if get_origin(plain) is dict:
        inside = get_args(plain)[1]
        return Table(inside) if kinds_of(inside)[1] else None
    kinds, tag = kinds_of(annotation)
    if tag is None:
        return kinds[0] if len(kinds) == 1 else None
    chosen = base.get(tag)
    if value.get(tag, chosen) != chosen:
        return None
    fitting = (kind for kind in kinds if chosen in get_args(kind.model_fields[tag].annotation))
    return next(fitting, None)


def _annotation(section: type[Section] | Table, name: str) -> Any:
    """Return the type or the field that a name's value belongs to; None of an unknown name."""
    if isinstance(section, Table):
        return section.value
    fields = {field.alias or own: field for own, field in section.model_fields.items()}
    return fields.get(name)

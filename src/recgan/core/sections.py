"""The sections of a params file: read, checked against their types, every fault named at once."""

import difflib
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from recgan.core.errors import RecganError
from recgan.core.yaml12 import read_yaml


class Section(BaseModel):
    """A part of params.yaml: frozen, and a name it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Whole = TypeVar("Whole", bound=Section)


def load_section(path: Path, whole: type[Whole]) -> Whole:
    """Read and check a params file of any kind, naming every fault at once.

    Raises:
        RecganError: the file is missing, is no YAML, or has unknown, missing or impossible values.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise RecganError(f"no {path} in {Path.cwd()}; run recgan from the root of the project") from None
    return check_section(content, path, whole)


def check_section(content: Any, path: Path, whole: type[Whole]) -> Whole:
    """Turn the content of a params file into its sections, naming every fault at once.

    Raises:
        RecganError: unknown, missing or impossible values.
    """
    untracked = [f"  {fault}" for fault in _untracked(content)]
    if untracked:
        raise RecganError(
            "\n".join([f"{path} has {len(untracked)} value(s) that DVC cannot track:", *untracked])
        )
    try:
        return whole.model_validate(content)
    except ValidationError as error:
        lines = "\n".join(f"  {_fault(fault, content)}" for fault in error.errors())
        raise RecganError(f"{path} has {error.error_count()} fault(s):\n{lines}") from None


def _untracked(value: Any, place: str = "") -> Iterator[str]:
    """Yield what YAML can hold but DVC cannot, by which it would end without a word of the place."""
    if isinstance(value, dict):
        numbers = all(type(name) is int for name in value)  # DVC sorts the names: one kind, and no other
        for name, below in value.items():
            inside = f"{place}.{name}" if place else str(name)
            if not isinstance(name, str) and not numbers:
                yield f"{inside}: YAML reads the name {name!r} as no text; write it in quotes"
            yield from _untracked(below, inside)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _untracked(below, f"{place}.{number}")
    elif isinstance(value, date):  # a datetime is one
        yield f"{place}: {value} is a time without quotes; put it in quotes"
    elif not isinstance(value, str | int | float | None):
        yield f"{place}: {value!r} is neither text, number, list nor section; write it without a tag (!!)"


def _fault(fault: Any, content: dict[str, Any]) -> str:
    """One line for one fault, with the likely name where one was mistyped."""
    place = [str(part) for part in fault["loc"]]
    value: Any = content
    known = True
    tags, written = _tags(), []
    for part in place:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdigit():
            value = value[int(part)]
        elif part in tags:
            continue
        elif part is place[-1]:
            known = False
        written.append(part)
    name = ".".join(written)
    if fault["type"] == "extra_forbidden":
        names = _field_names()
        close = difflib.get_close_matches(written[-1], sorted(names), n=1)
        # A name of another section or another recommender is no misspelling.
        misspelt = close and written[-1] not in names
        hint = f"did you mean `{close[0]}`?" if misspelt else "remove it"
        return f"{name}: unknown parameter; {hint}"
    if fault["type"] == "missing":
        return f"{name}: missing; every parameter must be given"
    message = str(fault["msg"]).removeprefix("Value error, ")
    shown = f" (given: {value!r})" if known and name and not isinstance(value, dict) else ""
    hint = ""
    if fault["type"].endswith("_parsing") and isinstance(value, str) and is_number(value):
        hint = "; this is text: write the number without quotes"
    elif fault["type"] == "string_type" and value is not None and not isinstance(value, dict | list):
        hint = "; put it in quotes, as it stands in your data"
    return f"{name}: {message}{shown}{hint}" if name else message


def is_number(text: str) -> bool:
    """Tell whether Python would read a text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sections() -> Iterator[type[Section]]:
    pending: list[type[Section]] = [Section]
    while pending:
        below = pending.pop().__subclasses__()
        yield from below
        pending += below


def _field_names() -> set[str]:
    return {field.alias or name for section in _sections() for name, field in section.model_fields.items()}


def _tags() -> set[str]:
    """Return the values that choose one of several sections: they stand in pydantic's paths, in no file."""
    return {
        value
        for section in _sections()
        for field in section.model_fields.values()
        for inside in [get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field]
        for kinds, tag in [kinds_of(inside)]
        if tag is not None
        for kind in kinds
        for value in get_args(kind.model_fields[tag].annotation)
    }


@dataclass(frozen=True)
class Kinds:
    """Beside an annotation of Any: the sections that a value may be, where a type cannot name them all.

    It cannot where one of them holds another one of them.
    """

    find: Callable[[], Iterable[type[Section]]]
    tag: str
    """The field that tells them apart."""


def kinds_of(annotation: Any) -> tuple[list[type[Section]], str | None]:
    """Return the sections that a value may be, and the field that tells them apart; None for one alone.

    Args:
        annotation: a type, or a field of a section.
    """
    tag, more = None, []
    if isinstance(annotation, FieldInfo):
        annotation, tag, more = annotation.annotation, annotation.discriminator, annotation.metadata
    elif get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        tag = next((one.discriminator for one in more if isinstance(one, FieldInfo)), None)
    for one in more:
        if isinstance(one, Kinds):
            return list(one.find()), one.tag
    union = get_origin(annotation) in (Union, types.UnionType)
    some = get_args(annotation) if union else (annotation,)
    kinds = [kind for kind in some if isinstance(kind, type) and issubclass(kind, Section)]
    return kinds, tag if isinstance(tag, str) else None


Share = Annotated[float, Field(ge=0, le=1)]


Positive = Annotated[float, Field(gt=0)]


NonNegative = Annotated[float, Field(ge=0)]


Count = Annotated[int, Field(ge=1)]


Seed = Annotated[int, Field(ge=0, lt=2**32)]


def no_number(value: Any) -> Any:
    """Refuse what pydantic would take for seconds since 1970, such as 20260101."""
    if isinstance(value, int | float) or (isinstance(value, str) and is_number(value)):
        raise ValueError('is a number, not a time; write it as "2026-01-31T00:00:00Z"')
    return value


Instant = Annotated[datetime, BeforeValidator(no_number)]
"""A time in quotes; without a zone it is UTC."""

"""What a parameter may be in a search: a range, or one of several choices."""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from recgan.core.errors import RecganError
from recgan.core.sections import Section
from recgan.core.yaml12 import read_yaml


class _Entry(BaseModel):
    model_config = Section.model_config


class Range(_Entry):
    """Any number between two, both included."""

    low: float
    high: float
    log: bool = False
    """True draws evenly over orders of magnitude."""

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high {self.high:g}; low must be the smaller one")
        if self.log and self.low <= 0:
            raise ValueError(
                f"low is {self.low:g}, which has no logarithm; raise it above 0 or leave log out"
            )
        return self

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


class Choices(_Entry):
    """One of several values of any kind."""

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]

    def __contains__(self, value: Any) -> bool:
        return value in self.choices

    def __str__(self) -> str:
        return ", ".join(map(str, self.choices))


def _kind(entry: Any) -> str:
    given = entry if isinstance(entry, dict) else vars(entry) if isinstance(entry, BaseModel) else {}
    return "choices" if "choices" in given else "range"


_Values = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)]


class _SpaceSection(_Entry):
    """One recommender's section."""

    base: Path | None = None
    """A params file that trains this recommender, for where params.yaml trains another; it may itself have a
    base."""
    space: Annotated[dict[str, _Values], Field(min_length=1)]


def read_section(path: Path, recommender: str, known: list[str]) -> _SpaceSection:
    """Read one recommender's section of search.yaml.

    Raises:
        RecganError: there is no such file or section, or it has faults: all are named at once.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise RecganError(f"no {path}; restore it with `git checkout {path.name}`") from None
    faults = []
    for name in content:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else "remove it"
            faults.append(f"{name}: unknown recommender; {hint}")
    if not faults and recommender not in content:
        raise RecganError(
            f"{path} has no section {recommender}; write one, like those of {', '.join(content)}"
        )
    try:
        section = TypeAdapter(_SpaceSection).validate_python(content.get(recommender))
    except ValidationError as error:
        faults += [_told(recommender, fault) for fault in error.errors()] if recommender in content else []
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise RecganError(f"{path} has {len(faults)} fault(s):\n{lines}")
    return section


def _told(recommender: str, fault: Any) -> str:
    """One line for one of pydantic's faults; its tags do not stand in the file."""
    parts = [str(part) for part in fault["loc"]]
    if len(parts) > 2:
        del parts[2]
    name = ".".join([recommender, *parts])
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(parts[-1], ["low", "high", "log", "choices", "base", "space"], n=1)
        return f"{name}: unknown; " + (f"did you mean `{close[0]}`?" if close else "remove it")
    if fault["type"] == "missing":
        return f"{name}: missing; give low and high, or choices" if len(parts) > 1 else f"{name}: missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = fault["input"]
    shown = "" if isinstance(given, dict) else f" (given: {given!r})"
    return f"{name}: {message}{shown}"

"""Arguments that several commands of the command line share."""

from typing import Annotated

import typer

Reason = Annotated[str, typer.Option(help="Why, for the record.")]
By = Annotated[str | None, typer.Option(help="Who; this user on this machine when not given.")]
Name = Annotated[str, typer.Option(help="The registered model.")]
Version = Annotated[str, typer.Argument(help="Its number in the registered model.")]


def mark_of(typed: str | None) -> str | None:
    """Return the mark between columns as somebody typed it: a TAB may be written as a word or escaped."""
    return {"\\t": "\t", "tab": "\t"}.get(typed or "", typed)

"""Arguments that several commands of the command line share."""

from typing import Annotated

import typer

Reason = Annotated[str, typer.Option(help="Why, for the record.")]
By = Annotated[str | None, typer.Option(help="Who; this user on this machine when not given.")]
Version = Annotated[str, typer.Argument(help="Its number in the registered model.")]

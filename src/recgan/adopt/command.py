"""The command `recgan adopt`: flags and questions in, words and a file out."""

import logging
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from recgan.core.errors import RecganError
from recgan.core.options import mark_of
from recgan.core.quiet import at_level


def adopt(
    files: Annotated[
        list[Path], typer.Argument(help="Your export: a file, several alike, or a folder of parts.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Of the example; by default as the file is called.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the example goes; examples/NAME.yaml by default.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="ours=yours, such as user_id=Email; an empty one leaves ours out."),
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="What every row is: view, cart, purchase or rating.")
    ] = None,
    event_name: Annotated[list[str] | None, typer.Option(help="yours=ours, such as bought=purchase.")] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="column=value,value: rows that are no events, in place of those proposed."),
    ] = None,
    not_product: Annotated[list[str] | None, typer.Option(help="Id of an item that is no product.")] = None,
    product: Annotated[
        list[str] | None, typer.Option(help="Id of an item that is one, whatever it looks like.")
    ] = None,
    day_first: Annotated[
        bool | None, typer.Option("--day-first/--month-first", help="Of 03/04/2024, where no date tells.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="How times are written, such as '%d.%m.%Y %H:%M'.")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Of times without one, such as Europe/Berlin.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between the columns of CSV.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of CSV, such as cp1252.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an example of that name.")] = False,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--no-ask", help="Ask what the data leaves open; by default in a terminal."),
    ] = None,
) -> None:
    """Look at a shop's export, propose how it is read, write an example of it, and check that."""
    from recgan.adopt import preview, written
    from recgan.adopt.given import Given, refuse
    from recgan.adopt.proposal import propose
    from recgan.adopt.sample import look
    from recgan.adopt.sizes import enough
    from recgan.settings import check_params, read_with_base
    from recgan.use import EXAMPLES

    root = Path()
    given = Given(
        columns=_pairs(column, "--column"),
        event=event,
        event_names=_pairs(event_name, "--event-name"),
        leave_out=None if leave_out is None else _rules(leave_out),
        not_products=tuple(not_product or ()),
        products=tuple(product or ()),
        day_first=day_first,
        time_format=time_format,
        timezone=timezone,
        delimiter=mark_of(delimiter),
        encoding=encoding,
    )
    called = name or _name(files[0])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", called):
        raise RecganError(
            f"--name {called}: an example's name has letters, digits, dots, hyphens and underscores alone; "
            "give another one, or its path with --out"
        )
    target, run = written.place(called, out, root)
    if target.exists() and not force and not written.unfinished(target, root):
        raise RecganError(f"{target} is there already; give another --name, or --force to replace it")
    asks = sys.stdin.isatty() if ask is None else ask
    with at_level(logging.WARNING, "recgan"):
        export = look([_from(root, file) for file in files], given.delimiter, given.encoding)
        content = read_with_base(root / EXAMPLES / written.BASE)
        base = check_params(content, root / EXAMPLES / written.BASE)
        proposal = propose(export, base, given, _question if asks else refuse)
        print("\n".join(preview.lines(proposal)))

        chosen = written.base_of(proposal)
        content = read_with_base(root / EXAMPLES / chosen)
        whole = proposal, called, content
        draft = written.example(*whole, str((root / EXAMPLES / chosen).resolve()), export.path.resolve())
        print("\nChecking it as ingest, validate, screen and features will …", flush=True)
        try:
            figures = written.check(draft)
        except RecganError as error:
            fault: RecganError | None = error
        else:
            fault = None
    text = written.example(*whole, written.path_from(target, chosen, root), export.path)
    written.keep(target, text, root, finished=fault is None)
    if fault is not None:
        raise RecganError(
            f"{target} is written, but will not do yet. Mend it, or the export and then run this again, "
            f"as its check says:\n{fault}"
        )
    shoppers = figures["test"]["users"]
    print(f"  it holds: {shoppers:,} shoppers in the test window")
    print("\n" + enough(shoppers, base.register_.gate.min_users, base.register_.gate.alpha))
    print(f"\n{target} is written: read it, above all what is left out. Then:\n  make run DATA={run}")


def _question(question: str, answers: str, flag: str) -> str:
    return str(typer.prompt(f"{question} ({answers})", prompt_suffix="? "))


def _pairs(texts: list[str] | None, flag: str) -> dict[str, str]:
    pairs = {}
    for text in texts or ():
        left, equals, right = text.rpartition("=") if flag == "--event-name" else text.partition("=")
        if not equals or not left:
            raise RecganError(f"{flag} {text}: nothing is equal to nothing; write it as left=right")
        pairs[left] = right
    return pairs


def _rules(texts: list[str]) -> dict[str, tuple[str, ...]]:
    pairs = _pairs([text for text in texts if text], "--leave-out")
    return {name: tuple(value for value in values.split(",") if value) for name, values in pairs.items()}


def _name(file: Path) -> str:
    stem = file.resolve().name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "mine"


def _from(root: Path, file: Path) -> Path:
    """Return the path of a raw file as params.yaml has it: from the project where it is inside."""
    whole = file.resolve()
    return whole.relative_to(root.resolve()) if whole.is_relative_to(root.resolve()) else whole

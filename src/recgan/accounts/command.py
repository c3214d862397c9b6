"""The command `recgan accounts`: every detector on a labelled file of somebody's own."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recgan.core.errors import RecganError
from recgan.core.options import mark_of

if TYPE_CHECKING:
    from recgan.accounts.trial import Measured


def accounts(
    file: Annotated[
        Path, typer.Argument(help="`user item rating [time]`, one a line; or a folder such as data/ingested.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="`user label`, one a line; 1 is fake, 0 genuine. A folder has its own."),
    ] = None,
    share: Annotated[
        list[float] | None,
        typer.Option(help="Of the labels that detectors learn from; several times for several. [.05 .2 .5]"),
    ] = None,
    thin: Annotated[
        float | None, typer.Option(help="Leave fakes out until so large a share of accounts is fake.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Cut ratings down to this, where higher ones give the fakes away.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Draws of the labels that are given.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    separator: Annotated[
        str | None, typer.Option(help="Between the columns; guessed when not given.")
    ] = None,
) -> None:
    """Measure how well each detector of fake accounts ranks those of a labelled file."""
    from recgan.accounts.labelled_set import read_folder, read_ratings, read_user_labels
    from recgan.accounts.trial import measure

    shares = share or [0.05, 0.2, 0.5]
    for name, one in [*(("--share", one) for one in shares), ("--thin", 0.5 if thin is None else thin)]:
        if not 0 < one < 1:
            raise RecganError(f"{name} {one:g}: give a share between 0 and 1, such as 0.05")
    if clip is not None and not math.isfinite(clip):
        raise RecganError(f"--clip {clip:g}: give a rating that higher ones are cut down to, such as 4")
    mark = mark_of(separator)
    if file.is_dir() and labels is not None:
        raise RecganError(f"{file} is a folder, whose users.parquet has the labels; leave --labels out")
    if file.is_dir():
        log, told = read_folder(file)
    elif labels is None:
        raise RecganError(f"which accounts of {file} are fake? Give a file of `user label` with --labels")
    else:
        log = read_ratings(file, mark, clip)
        told = read_user_labels(labels, log, mark)
    print(
        f"{len(log.user_ids):,} accounts, {len(log.item_ids):,} items, {len(log.user):,} pairs of them"
        f"{'' if log.first is not None else ', no times'}; {(told == 1).sum():,} accounts are labelled fake, "
        f"{(told == 0).sum():,} genuine\n"
        f"average precision on the accounts whose label was not given: "
        f"{f'mean ± 95 % interval of {repetitions} repetitions' if repetitions > 1 else 'of one draw'}\n",
        flush=True,
    )
    print("\n".join(_table(measure(log, told, shares, repetitions, seed, thin), shares)))


def _table(found: "dict[str, list[Measured]]", shares: list[float]) -> list[str]:
    """Return a table in Markdown."""
    heads = ["labels given", *(f"{100 * share:g} %" for share in shares)]
    rows = [[name, *map(_cell, by)] for name, by in found.items()]
    return [_line(heads), "|" + "---|" * len(heads), *map(_line, rows)]


def _cell(one: "Measured") -> str:
    return f"{one.mean:.3f}" if math.isnan(one.half) else f"{one.mean:.3f} ± {one.half:.3f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

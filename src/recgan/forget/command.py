"""The command `recgan forget`; its imports stay lazy."""

from pathlib import Path
from typing import Annotated

import typer


def forget(
    users: Annotated[list[str], typer.Argument(help="Ids of people, as the log has them.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without, it is only said what would be done.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only search every store; exit code 1 where anybody is found.")
    ] = False,
    remember: Annotated[
        bool,
        typer.Option(
            help="Keep a salted hash in forgotten.json, so that the next export brings nobody back."
        ),
    ] = True,
) -> None:
    """Remove people from every store of the project, or prove that nothing names them."""
    from recgan.forget.forget import forget as take_out
    from recgan.forget.found import search, whom
    from recgan.forget.told import as_text, by_hand, not_searched
    from recgan.settings import load_params

    root, params = Path(), load_params()
    people = whom(params, users)
    if yes and not check:
        before, found = take_out(root, params, people, remember)
        print(f"{as_text(before, root, planned=True)}\n\nAfterwards:")
    else:
        found = search(root, params, people)
    print(as_text(found, root, planned=not (yes or check)))
    if check:
        print(not_searched(root))
        raise typer.Exit(1 if found.found or found.unsearched else 0)
    print(by_hand(root))
    if not yes:
        print("Nothing is changed yet. --yes does it.")
    elif found.found or found.unsearched:
        print(
            "Somebody is still named in the places above; remove those by hand, then recgan forget --check."
        )
        raise typer.Exit(1)

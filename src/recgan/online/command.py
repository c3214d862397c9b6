"""The commands of `recgan experiment`, and `recgan off-policy`; their imports stay lazy."""

from pathlib import Path
from typing import Annotated

import typer

from recgan.core.options import By, Reason

experiment = typer.Typer(
    no_args_is_help=True, help="Try a version beside the champion, on shoppers: the gate's second half."
)


@experiment.command()
def start(
    version: Annotated[
        str | None, typer.Option(help="Its number; by default the one with the alias challenger.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Of the shoppers; experiment.share when not given.")
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(
            help="split: a version answers alone. interleave: each list is drawn from both. "
            "experiment.design when not given."
        ),
    ] = None,
    by: By = None,
) -> None:
    """Let a version meet a share of the shoppers; the champion answers the others."""
    from recgan.online.experiment import start as begin
    from recgan.registry.experiments import sentence
    from recgan.settings import load_params

    begun = begin(Path(), load_params(), version, share, design, by)
    print(f"It runs: {sentence(begun)}.\nServers take it up within their --poll-seconds.")


@experiment.command()
def stop(reason: Reason, by: By = None) -> None:
    """End the experiment without a decision: the champion stays."""
    from recgan.package.store import Recommenders
    from recgan.registry.experimenting import stop as end
    from recgan.registry.experiments import told
    from recgan.settings import load_params

    print(told(end(Recommenders(Path(), load_params()), reason, by)))


@experiment.command()
def status() -> None:
    """Show both arms with their confidence sequences, and what the second gate would decide now."""
    from recgan.online.experiment import look
    from recgan.online.last_look import keep
    from recgan.online.words import as_markdown
    from recgan.registry.experiments import last, told
    from recgan.settings import load_params

    params = load_params()
    found = look(Path(), params)
    if found is not None:
        keep(Path(), *found)
        print(as_markdown(*found))
        return
    ended = last(Path(), params.register_.name)
    print(f"No experiment of {params.register_.name} runs." + ("" if ended is None else f" {told(ended)}"))


@experiment.command()
def judge(by: By = None) -> None:
    """Let the second gate decide now, and do what it decides."""
    from recgan.online.experiment import judge as decide
    from recgan.online.words import report
    from recgan.settings import load_params

    params = load_params()
    print(report(decide(Path(), params, by), params.register_.name))


def off_policy(
    version: Annotated[
        str | None, typer.Option(help="Its number; the challenger, or the champion, when not given.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0, help="How far to look back; as far as may be when not given.")
    ] = None,
    drawn: Annotated[
        bool, typer.Option("--drawn", help="Judge its drawn lists, beside those of others, not its best.")
    ] = False,
) -> None:
    """Estimate what a version would be worth to shoppers, from answers that were drawn by chance."""
    from recgan.online.off_policy import as_markdown
    from recgan.online.off_policy import off_policy as estimate
    from recgan.settings import load_params

    params = load_params()
    found = estimate(Path(), params, version, days, "drawn" if drawn else "best")
    print(as_markdown(found, params), end="")

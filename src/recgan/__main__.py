"""The command line: one subcommand per stage and per tool. Imports stay lazy: --help takes 0.3 s."""

from recgan.core.stopped import EXIT_CODE, STOPPED, one_line_for_ctrl_c

one_line_for_ctrl_c()  # before what takes long to import

import logging  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated  # noqa: E402

import typer  # noqa: E402

from recgan.accounts.command import accounts  # noqa: E402
from recgan.adopt.command import adopt  # noqa: E402
from recgan.core.environment import configure  # noqa: E402
from recgan.core.errors import RecganError  # noqa: E402
from recgan.core.options import Name  # noqa: E402
from recgan.core.processes import end_with_dvc  # noqa: E402
from recgan.core.redact import clean  # noqa: E402
from recgan.daily.commands import collect, promote, rollback  # noqa: E402
from recgan.forget.command import forget  # noqa: E402
from recgan.images.commands import images  # noqa: E402
from recgan.online.command import experiment, off_policy  # noqa: E402
from recgan.serving.command import serve  # noqa: E402

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

app.add_typer(images, name="images")
app.add_typer(experiment, name="experiment")
app.command()(accounts)
app.command()(adopt)
app.command()(collect)
app.command()(forget)
app.command()(off_policy)
app.command()(serve)
app.command()(promote)
app.command()(rollback)


@app.callback()
def _recgan() -> None:
    """Retrain, evaluate and promote an adversarially trained recommender."""


@app.command()
def feedback() -> None:
    """Keep what was collected of feedback for the ingest."""
    from recgan.stages import feedback as stage

    stage()


@app.command()
def ingest() -> None:
    """Turn the source of params.yaml into events, items and users."""
    from recgan.stages import ingest as stage

    stage()


@app.command()
def validate() -> None:
    """Check the events, put droppable rows into quarantine, stop on critical failures."""
    from recgan.stages import validate as stage

    stage()


@app.command()
def screen() -> None:
    """Find accounts that act together, and leave the surest of them out of what is learned from."""
    from recgan.stages import screen as stage

    stage()


@app.command()
def features() -> None:
    """Split the kept events in time and build the matrices."""
    from recgan.stages import features as stage

    stage()


@app.command()
def start() -> None:
    """Keep what a flow found of the champion for a training to begin from."""
    from recgan.stages import start as stage

    stage()


@app.command()
def train(name: Annotated[str, typer.Argument(help="Of a candidate in params.yaml.")]) -> None:
    """Train or tune a candidate, and choose its settings on validation."""
    from recgan.stages import train as stage

    stage(name)


@app.command()
def replicate() -> None:
    """Train the candidates on earlier test windows and with other seeds, where evaluate asks for it."""
    from recgan.stages import replicate as stage

    stage()


@app.command()
def evaluate() -> None:
    """Measure the candidates on the test window; the best on validation is the challenger."""
    from recgan.stages import evaluate as stage

    stage()


@app.command()
def tune(
    candidate: Annotated[
        str | None,
        typer.Option(help="A candidate, or what is none yet; by default the first GAN."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials in all, earlier ones included; 30 without --minutes.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="No trial begins after so much time.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the settings that are tried.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds with which leading settings are trained; the best mean wins.")
    ] = 3,
    write: Annotated[bool, typer.Option("--write", help="Put the best settings into params.yaml.")] = False,
) -> None:
    """Search a candidate's settings within search.yaml on validation; goes on where it stopped."""
    from recgan.tuning.search import search, write_winner
    from recgan.use import sentence

    found = search(candidate, trials=trials, minutes=minutes, seed=seed, seeds=seeds)
    if write:
        print(sentence(write_winner(found), "the best settings"))


@app.command()
def recommend(
    k: Annotated[int | None, typer.Option(help="Items for each shopper; recommend.k when not given.")] = None,
    exclude_seen: Annotated[
        bool | None,
        typer.Option(
            "--exclude-seen/--include-seen",
            help="Leave out the items of the history; as features.repeat_purchases has it when not given.",
        ),
    ] = None,
) -> None:
    """Publish the champion's recommendations for every shopper as one Parquet file."""
    from recgan.daily.recommendations import recommend as publish
    from recgan.daily.recommendations import sentence
    from recgan.settings import load_params

    print(sentence(publish(Path(), load_params(), k, exclude_seen)))


@app.command()
def newcomers() -> None:
    """Bring products that the champion does not know into its lists and answers, from the newest events."""
    from recgan.daily.newcomers import sentence, update_newcomers
    from recgan.settings import load_params

    print(sentence(update_newcomers(Path(), load_params())))


@app.command()
def monitor() -> None:
    """Measure drift against the champion's training data, and say whether retraining is due."""
    from recgan.daily.monitor import as_markdown
    from recgan.daily.monitor import monitor as look
    from recgan.settings import load_params

    params = load_params()
    print(as_markdown(look(Path(), params), params.monitor))


@app.command()
def behaviour(days: Annotated[float, typer.Option(help="How far to look ahead.")] = 7) -> None:
    """Foretell whether each shopper comes back, fills the cart, buys in the next days."""
    from recgan.daily.behaviour import behaviour as foretell
    from recgan.daily.behaviour import sentence

    print(sentence(foretell(Path(), days)))


@app.command()
def relocate() -> None:
    """Make a registry whose folder was moved or copied use the files beside its database."""
    from recgan.registry.relocation import relocate as mend
    from recgan.registry.relocation import sentence
    from recgan.registry.tracking import database_file

    database = database_file()
    if database is None:
        raise RecganError("MLFLOW_TRACKING_URI names a server: it knows where its files are; nothing to do")
    print(sentence(mend(database)))


@app.command()
def live(
    days: Annotated[int, typer.Option(help="That the shop lives.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Of the shop and its shoppers.")] = 7,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of its server; a free one when not given.")
    ] = None,
) -> None:
    """Watch a simulated shop for days and nights with the real server and the real flow, in live/."""
    from recgan.live.month import live as begin

    print(f"{begin(days, seed, port)} shows how")


@app.command()
def use(
    example: Annotated[str, typer.Argument(help="A name in examples/, or the path of a params file.")],
    folder: Annotated[Path | None, typer.Option(help="Where the raw files are; becomes ingest.path.")] = None,
) -> None:
    """Put an example's parameters in place of params.yaml; what it held stays in params.yaml.bak*."""
    from recgan.use import sentence
    from recgan.use import use as put_in_place

    print(sentence(put_in_place(example, folder), example))


@app.command()
def ui(port: int = 5000) -> None:
    """Show runs, curves, versions and aliases in MLflow's pages on loopback."""
    from recgan.registry.servers import ui as serve

    serve(port)


@app.command()
def serve_model(name: Name = "recgan", port: int = 5001) -> None:
    """Answer POST /invocations on loopback with the champion."""
    from recgan.registry.servers import serve_model as serve

    serve(name, port)


def main() -> None:
    """Run the command line; a RecganError becomes one clear message and exit code 1."""
    configure()
    end_with_dvc()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("recgan").setLevel(logging.INFO)
    try:
        app()
    except SystemExit as end:
        if end.code == EXIT_CODE:  # typer makes it of a KeyboardInterrupt, without a word
            print(f"\n{STOPPED}", file=sys.stderr)
        raise
    except RecganError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        remedy = "see to free space and to write permission there, then run it again"
        print(clean(f"error: {error}; {remedy}: what was there before is unchanged"), file=sys.stderr)
        sys.exit(1)
    except Exception:
        print(clean(traceback.format_exc()), end="", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The lists of several windows, that the discriminator learns from."""

from pathlib import Path

from recgan.adversarial.processes import is_first
from recgan.recommenders.chosen import Chosen, beside
from recgan.recommenders.two_stage.lists import Lists, lists_of, none
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.two_stage.windows import Window, times_known


def gathered(
    generator: Chosen,
    windows: list[Window],
    n: int,
    n_items: int,
    exclude_seen: bool,
    seed: int,
    checkpoint: Path | None,
) -> tuple[Lists, Lists]:
    """Return the proposals to the shoppers of windows, and the same with fakes drawn uniformly.

    For each window the generator and the statistics are fitted again, on what came before it. Of several
    processes that fit together, only the first one has the lists.

    Args:
        generator: as validation chose it.
        windows: none gives lists of nobody.
        n: length of a list.
        n_items: of train.
        exclude_seen: propose no item of the history.
        seed: of the draws of the first window; each further one has the next.
        checkpoint: beside it lie the generators' unfinished trainings.
    """
    proposed = drawn = none(n, n_items)
    for number, window in enumerate(windows):
        before = window.before
        earlier = generator.again(before, beside(checkpoint, f"window-{number}"))
        if not is_first():
            continue  # of several processes the first one alone learns from the lists
        known = Statistics.fit(before.train, times_known(before), before.items)
        more, more_drawn = lists_of(earlier, known, window.came, n, exclude_seen, seed + number)
        proposed, drawn = proposed.and_then(more), drawn.and_then(more_drawn)
    return proposed, drawn

"""What the recommenders that hold large matrices take of memory at their peak.

The bytes for each pair were measured (docs/decisions.md). What grows with the number of interactions, users
or items alone is left out: it is small beside these, and beside the features themselves.
"""

from collections.abc import Iterator

from recgan.core.memory import Need
from recgan.features.matrices import Features
from recgan.settings import (
    BaselinesParams,
    CFGANParams,
    NeighbourGrid,
    RP3betaGrid,
    StudentParams,
    TrainParams,
)

EASE_PAIR = 52
"""Bytes for each pair of items: the Gram matrix and its copy, the inverse and its triangles, two results."""
STUDENT_PAIR = 66
"""Bytes for each pair of items solved for together: EASE's, and the Gram matrix of generated rows."""
KEPT_ENTRY = 48
"""Bytes for each entry of a sparse matrix of weights while it is put together beside another one."""
SCORE = 4
"""Bytes for each score of a teacher."""
CFGAN_CELL = 28
"""Bytes for each user and item: what is held, seen and punished, the masks of the next epoch, and a draw."""
_FEWER_ITEMS = "raise features.min_item_users, so that fewer items remain"
_OTHER = "or choose another train.recommender"


def of_baselines(params: BaselinesParams, features: Features) -> Iterator[Need]:
    """Yield what the baselines of params.yaml need for these features."""
    n_items = features.train.shape[1]
    if params.ease is not None:
        yield Need(
            "baselines.ease",
            EASE_PAIR * n_items**2,
            f"dense matrices of {n_items:,} x {n_items:,} items",
            f"{_FEWER_ITEMS}, or set baselines.ease to null to do without it",
        )
    for name, grid in (("itemknn", params.itemknn), ("rp3beta", params.rp3beta)):
        if grid is not None:
            yield _of_neighbours(f"baselines.{name}", grid, n_items)


def of_training(settings: TrainParams, features: Features, on_gpu: bool) -> Iterator[Need]:
    """Yield what training the recommender of params.yaml needs of the machine's memory for these features."""
    n_users, n_items = (features.train_validation if settings.refit else features.train).shape
    if isinstance(settings, StudentParams):
        yield _of_student(settings, n_users, n_items)
    if isinstance(settings, CFGANParams) and not on_gpu:
        yield Need(
            "train.recommender cfgan",
            CFGAN_CELL * n_users * n_items,
            f"dense masks of {n_users:,} users x {n_items:,} items",
            f"{_FEWER_ITEMS}, {_OTHER}",
        )


def _of_neighbours(of: str, grid: NeighbourGrid | RP3betaGrid, n_items: int) -> Need:
    most = min(max(grid.neighbours, default=0), n_items)
    dense = 8 * n_items**2 if most * 16 > n_items else 0  # as soon as a dense product is the faster one
    return Need(
        of,
        KEPT_ENTRY * n_items * most + dense,
        f"{most:,} neighbours of {n_items:,} items",
        f"lower {of}.neighbours, or {_FEWER_ITEMS}",
    )


def _of_student(settings: StudentParams, n_users: int, n_items: int) -> Need:
    whole = settings.block_items is None or settings.block_items >= n_items
    together = n_items if whole else min(2 * (settings.block_items or 0), n_items)
    kept = 0 if whole else n_items * min(settings.neighbours or together, together)
    taught = min(settings.teacher_users or n_users, n_users) if any(settings.generated_weights) else 0
    return Need(
        "train.recommender student",
        STUDENT_PAIR * together**2 + KEPT_ENTRY * kept + SCORE * taught * n_items,
        f"dense matrices of {together:,} x {together:,} items, {kept:,} weights in blocks, and the teachers' "
        f"scores of {taught:,} users x {n_items:,} items",
        f"lower train.block_items, train.neighbours or train.teacher_users, {_FEWER_ITEMS}, {_OTHER}",
    )

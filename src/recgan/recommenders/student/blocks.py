"""Which items are solved for together, and which weights are kept."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, diags_array

from recgan.recommenders.fallback import shares_of_users
from recgan.recommenders.trained import Training

_BLOCK_CELLS = 4_000_000  # of rows by items, held in memory at a time


class Block(NamedTuple):
    """Items whose columns of B are solved together."""

    targets: NDArray[np.int64]
    support: NDArray[np.int64]
    """Positions of the items that those columns may have entries for; the targets come first."""


def item_blocks(user_items: csr_array, size: int | None) -> list[Block]:
    """Cut the items into blocks that occur together.

    The most popular item that is in no block yet gathers those nearest to it by cosine, until none is left.
    Where too few occur with it, the most popular follow. A block's support is its own items and as many
    others: those that occur most often with them. (Not by cosine: the popular ones explain most.)

    Args:
        user_items: (users, items).
        size: the most items in a block; None, or at least the number of items, makes one block of all.
    """
    n_items = user_items.shape[1]
    everything = np.arange(n_items)
    if size is None or size >= n_items:
        return [Block(everything, everything)]
    norms = np.sqrt(np.asarray(user_items.power(2).sum(axis=0), dtype=np.float64))
    unit = csc_array(csr_array(user_items @ diags_array(1 / np.maximum(norms, 1e-12))))
    by_popularity = np.argsort(-shares_of_users(user_items), kind="stable")
    left = np.ones(n_items, dtype=bool)
    blocks = []
    for leader in by_popularity:
        if not left[leader]:
            continue
        rest = by_popularity[left[by_popularity]]
        nearness = (unit[:, [leader]].T @ unit).toarray()[0, rest]
        nearness[rest == leader] = np.inf
        targets = np.sort(rest[np.argsort(-nearness, kind="stable")[:size]])
        left[targets] = False
        nearness = user_items.T @ np.asarray(user_items[:, targets].sum(axis=1), dtype=np.float64)
        nearness[targets] = -np.inf
        beside = np.argsort(-nearness, kind="stable")[: min(size, n_items - len(targets))]
        blocks.append(Block(targets, np.concatenate([targets, np.sort(beside)])))
    return blocks


def largest(columns: NDArray[np.float32], block: Block, n: int | None) -> tuple[NDArray[Any], ...]:
    """Return the entries (values, rows, columns) that stay of some columns of B: the n largest of each.

    Args:
        columns: (support, targets).
        block: whose columns they are.
        n: entries to keep of a column, by absolute value; None keeps all.
    """
    height, width = columns.shape
    if n is not None and n < height:
        rows = np.argpartition(-np.abs(columns), n - 1, axis=0)[:n]  # (n, targets)
    else:
        rows = np.tile(np.arange(height)[:, None], width)
    values = np.take_along_axis(columns, rows, axis=0)
    places = np.broadcast_to(block.targets, rows.shape)
    kept = values != 0
    return (
        values[kept],
        block.support[rows[kept]].astype(np.int32),
        places[kept].astype(np.int32),
    )


def put_together(parts: list[tuple[NDArray[Any], ...]], n_items: int) -> csr_array:
    """Return the blocks' entries (values, rows, columns) as one matrix (items, items)."""
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    matrix = csr_array((values, (rows, columns)), shape=(n_items, n_items))
    matrix.sort_indices()
    return matrix


def one_training(trainings: list[Training], score: float | None) -> Training:
    """Return the teachers' trainings as one: their epochs numbered on, the longest of each."""
    curves: list[Any] = []
    alarms: dict[str, int] = {}
    for number, training in enumerate(trainings, 1):
        before = len(curves)
        curves += [
            {**row, "epoch": before + place, "teacher": number}
            for place, row in enumerate(training.curves, 1)
        ]
        for name, epoch in training.alarms.items():
            alarms[name] = min(epoch, alarms.get(name, epoch))
    return Training(
        epochs=max((one.epochs for one in trainings), default=0),
        best_epoch=max((one.best_epoch for one in trainings), default=0),
        validation_ndcg=score,
        curves=curves,
        alarms=alarms,
    )


def parts_of(n_rows: int, width: int) -> list[slice]:
    """Cut rows of a width into slices of at most some millions of cells."""
    size = max(1, _BLOCK_CELLS // max(width, 1))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def sums_of(user_items: csr_array) -> NDArray[np.float64]:
    """Return each row's sum, (rows,)."""
    return np.asarray(user_items.sum(axis=1), dtype=np.float64)

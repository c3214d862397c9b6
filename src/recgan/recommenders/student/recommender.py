"""The student: a linear item-item recommender fitted on real rows and on what its teachers generate.

RC-GANs, the teachers, are trained with different seeds; the mean of their served scores G(x_u) makes of each
shopper's row x_u a generated one:

    y_u  = G(x_u)                        as it is: a squared-error generator's scores estimate confidences, or
    y_u  = n_u · softmax(G(x_u) / τ)     as many items as the row has, n_u = Σ_i x_ui
    Gram = (XᵀDX + ω YᵀDY) / (1 + ω),    D = diag(n_u^-a), divided by its mean
    P    = (Gram + λI)⁻¹,                B = I - P diag(1/diag P), so that diag(B) = 0
    scores = x B

B minimises ‖D^½ (X - XB)‖² + ω ‖D^½ (Y - YB)‖² + (1 + ω) λ ‖B‖² under diag(B) = 0; with ω = 0 and a = 0 it is
EASE (Steck 2019). Dividing by D's mean and by 1 + ω changes the unit of λ alone: one λ then means about the
same for every a and ω. Validation chooses ω, a, τ and λ. What serves is B: neither the teachers nor torch.

X holds confidences, graded or not, as it does in EASE; so n_u is the row's sum, which for plain ones is the
number of its items.

Many items: `block_items` solves blocks of items that occur together, each beside as many others, the ones
nearest to it, instead of all at once; `neighbours` keeps of each column of B the largest entries. What either
costs is in docs/experiments.md.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.special import logsumexp

from recgan.recommenders.linear import linear_weights
from recgan.recommenders.trained import Training, reading, write_trained
from recgan.settings import StudentParams

log = logging.getLogger(__name__)

NO_INVERSE = "the student's Gram matrix cannot be inverted with l2 {:g}; raise train.l2"

_BLOCK_CELLS = 4_000_000  # of rows by items, held in memory at a time


@dataclass(frozen=True)
class Choice:
    """What validation chose."""

    generated_weight: float
    """ω"""
    row_exponent: float
    """a"""
    temperature: float | None
    """τ; None takes the scores as they are."""
    l2: float
    """λ"""
    epochs: tuple[int, ...] = ()
    """Each teacher's best epoch."""
    critic_shares: tuple[float, ...] = ()
    """Each teacher's k."""


class Block(NamedTuple):
    """Items whose columns of B are solved together."""

    targets: NDArray[np.int64]
    support: NDArray[np.int64]
    """Positions of the items that those columns may have entries for; the targets come first."""


class Rows:
    """Real rows, and the scores from which generated ones are made."""

    def __init__(self, user_items: csr_array, taught: csr_array, scores: NDArray[np.float32] | None) -> None:
        """Hold both.

        Args:
            user_items: (users, items), all real rows.
            taught: (some users, items), the rows that the teachers scored.
            scores: (some users, items), G; None where nothing is generated.
        """
        self._real, self._sizes = csc_array(user_items), _sums(user_items)
        self._taught_sizes, self._scores = _sums(taught), scores
        self._totals: dict[float, NDArray[np.float64]] = {}  # of the last temperature: log Σ_i exp(G_i / τ)
        self._latest: dict[str, tuple[tuple[Any, ...], NDArray[np.float64]]] = {}

    def gram(self, block: Block, choice: Choice) -> NDArray[np.float64]:
        """Return a new (XᵀDX + ω YᵀDY) / (1 + ω) of a block's support, (support, support)."""
        a, tau, omega = choice.row_exponent, choice.temperature, choice.generated_weight
        first = int(block.targets[0])
        real = self._kept("real", (first, a), lambda: self.real_gram(block, a))
        if not omega:
            return real.copy()
        generated = self._kept("generated", (first, a, tau), lambda: self.generated_gram(block, a, tau))
        return (real + omega * generated) / (1 + omega)

    def real_gram(self, block: Block, exponent: float) -> NDArray[np.float64]:
        """Return XᵀDX of a block's support, (support, support)."""
        columns = csc_array(self._real[:, block.support]).astype(np.float64)
        weighted = diags_array(self._weights(self._sizes, exponent)) @ columns
        gram: NDArray[np.float64] = (columns.T @ weighted).toarray()
        return gram

    def generated_gram(self, block: Block, exponent: float, temperature: float | None) -> NDArray[np.float64]:
        """Return YᵀDY of a block's support, (support, support)."""
        gram = np.zeros((len(block.support),) * 2)
        weights = self._weights(self._taught_sizes, exponent)
        for part in _parts(len(weights), len(block.support)):
            rows = self.profiles(part, block.support, temperature) * np.sqrt(weights[part, None])
            gram += rows.T @ rows
        return gram

    def profiles(
        self, part: slice, items: NDArray[np.int64], temperature: float | None
    ) -> NDArray[np.float64]:
        """Return y of some of the taught rows and items, (rows, items)."""
        assert self._scores is not None
        if temperature is None:
            return self._scores[part][:, items].astype(np.float64)
        if temperature not in self._totals:
            parts = _parts(*self._scores.shape)
            sums = [logsumexp(self._scores[part] / np.float64(temperature), axis=1) for part in parts]
            self._totals = {temperature: np.concatenate(sums)}
        logits = self._scores[part][:, items] / np.float64(temperature)
        profiles: NDArray[np.float64] = np.exp(logits - self._totals[temperature][part, None])
        return profiles * self._taught_sizes[part, None]

    def _kept(
        self, kind: str, key: tuple[Any, ...], make: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the last matrix of a kind if it was made for the same key, else make it."""
        if kind not in self._latest or self._latest[kind][0] != key:
            self._latest.pop(kind, None)
            self._latest[kind] = key, make()
        return self._latest[kind][1]

    def _weights(self, sizes: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
        mean = float(_powers(self._sizes, exponent)[self._sizes > 0].mean())
        return _powers(sizes, exponent) / mean


class Student:
    """A linear recommender that was taught by RC-GANs."""

    name = "student"

    def __init__(self, settings: StudentParams, choice: Choice | None = None) -> None:
        """Keep the settings.

        Args:
            settings: the train section.
            choice: what an earlier fit chose; None lets validation choose, and without validation takes the
                first value of each list.
        """
        self.settings = settings
        self.choice = choice
        self.training = Training()

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        weights = self._weights
        return int(weights.size if isinstance(weights, np.ndarray) else weights.nnz)

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "student",
    ) -> Self:
        """Train the teachers, then solve for B.

        Args:
            user_items: (users, items), float32, 0 where there was no event.
            validate: a score of a recommender, higher is better; chooses each teacher's epoch and k, then
                ω, a, τ and λ. None keeps the last epoch and the first values unless a choice was given.
            epochs: the most epochs to train a teacher; None takes the settings', or those of the choice.
            checkpoint: each teacher has its own file beside this one, to resume from and to save all state
                to; None saves nothing.
            label: what the progress is called.

        Raises:
            RecganError: a teacher's loss is not finite, the accelerator is not there, or the Gram matrix
                cannot be inverted.
        """
        settings, chosen = self.settings, self.choice
        self._popularity = _popularity(user_items)
        taught, scores, taught_with = self._teach(user_items, validate, epochs, checkpoint, label)
        rows = Rows(user_items, taught, scores)
        blocks = item_blocks(user_items, settings.block_items)
        if chosen is not None:
            candidates = [chosen]
        else:
            candidates = list(self._candidates())[: None if validate is not None else 1]
        best: tuple[float | None, Choice, csr_array | NDArray[np.float32]] | None = None
        for candidate in candidates:
            self._weights = weights = self._solved(rows, blocks, candidate)
            score = None if validate is None else validate(self)
            if best is None or (score is not None and best[0] is not None and score > best[0]):
                best = score, candidate, weights
        assert best is not None
        score, choice, self._weights = best
        shares = tuple(teacher.critic_share for teacher in taught_with)
        trainings = [teacher.training for teacher in taught_with]
        self.choice = Choice(
            **{
                **asdict(choice),
                "epochs": tuple(one.best_epoch for one in trainings),
                "critic_shares": shares,
            }
        )
        if validate is not None and chosen is None:
            log.info(
                "%s: ω %g, a %g, τ %s, λ %g", label, *[getattr(choice, name) for name in _LISTS.values()]
            )
            self._warn_of_edges(self.choice)
        self.training = _together(trainings, score)
        return self

    def anew(self) -> Self:
        """Return an unfitted one of the same settings and all that validation chose."""
        return type(self)(self.settings, self.choice)

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out; popularity without any."""
        product = user_items.astype(np.float32, copy=False) @ self._weights
        scores: NDArray[np.float32] = product if isinstance(product, np.ndarray) else product.toarray()
        scores[np.diff(user_items.indptr) == 0] = self._popularity
        return scores

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        weights = self._weights
        if isinstance(weights, np.ndarray):
            tensors = {"weights": np.ascontiguousarray(weights)}
        else:
            tensors = {name: getattr(weights, name) for name in ("data", "indices", "indptr")}
        assert self.choice is not None
        write_trained(
            folder,
            self.name,
            self.settings,
            self.training,
            save({**tensors, "popularity": self._popularity}),
            items=len(self._popularity),
            choice=asdict(self.choice),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; imports no torch.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with reading(folder) as (about, content, training):
            tensors, items = load(content), int(about["items"])
            lists = {name: tuple(about["choice"][name]) for name in ("epochs", "critic_shares")}
            recommender = cls(
                StudentParams.model_validate(about["settings"]), Choice(**{**about["choice"], **lists})
            )
            recommender.training = training
            recommender._popularity = tensors["popularity"]
            if "weights" in tensors:
                recommender._weights = tensors["weights"]
                shape = recommender._weights.shape
            else:
                parts = (tensors["data"], tensors["indices"], tensors["indptr"])
                recommender._weights = csr_array(parts, shape=(len(parts[2]) - 1, items))
                recommender._weights.check_format()
                shape = recommender._weights.shape
            if shape != (items, items) or recommender._popularity.shape != (items,):
                raise ValueError(f"the weights are {shape}, but there are {items} items")
        return recommender

    def _teach(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None,
        epochs: int | None,
        checkpoint: Path | None,
        label: str,
    ) -> tuple[csr_array, NDArray[np.float32] | None, list[Any]]:
        """Train the teachers; return the rows they saw, the mean of their scores for them, and themselves."""
        settings, choice = self.settings, self.choice
        rows = user_items
        if settings.teacher_users is not None and settings.teacher_users < user_items.shape[0]:
            rng = np.random.default_rng(settings.teacher.seed)
            rows = csr_array(
                user_items[np.sort(rng.permutation(user_items.shape[0])[: settings.teacher_users])]
            )
        asked = settings.generated_weights if choice is None else (choice.generated_weight,)
        if not any(asked):
            return rows, None, []  # nothing generated would count
        from recgan.recommenders.rcgan.recommender import (
            RCGAN,  # imports torch, which scoring does not need
        )

        teachers: list[Any] = []
        scores = np.zeros(rows.shape, dtype=np.float32)
        for number in range(settings.teachers):
            own = settings.teacher.model_copy(update={"seed": settings.teacher.seed + number})
            given = choice is not None and number < len(choice.epochs)
            share = choice.critic_shares[number] if choice is not None and given else None
            most = epochs
            if choice is not None and given:
                most = min(choice.epochs[number], epochs or choice.epochs[number])
            name = f"teacher-{number + 1}"
            file = checkpoint and checkpoint.with_name(f"{checkpoint.stem}-{name}{checkpoint.suffix}")
            teacher = RCGAN(own, share).fit(rows, validate, most, file, f"{label} {name}")
            for part in _parts(*rows.shape):
                scores[part] += teacher.score(csr_array(rows[part])) / np.float32(settings.teachers)
            teachers.append(teacher)
        return rows, scores, teachers

    def _candidates(self) -> Iterator[Choice]:
        """Yield every combination of the lists; without anything generated τ does not matter."""
        settings = self.settings
        for a, tau in product(settings.row_exponents, settings.temperatures):
            for omega, l2 in product(settings.generated_weights, settings.l2):
                if omega or tau == settings.temperatures[0]:
                    yield Choice(omega, a, tau, l2)

    def _solved(self, rows: Rows, blocks: list[Block], choice: Choice) -> csr_array | NDArray[np.float32]:
        """Return a choice's B."""
        parts = []
        for block in blocks:
            weights = linear_weights(
                rows.gram(block, choice),
                choice.l2,
                NO_INVERSE.format(choice.l2),
            )
            if len(blocks) == 1 and self.settings.neighbours is None:
                return weights
            parts.append(largest(weights[:, : len(block.targets)], block, self.settings.neighbours))
        return _put_together(parts, len(self._popularity))

    def _warn_of_edges(self, choice: Choice) -> None:
        """Say where the best value lies on the edge of its list: a better one may lie beyond."""
        for name, own in _LISTS.items():
            values, value = getattr(self.settings, name), getattr(choice, own)
            numbers = [one for one in values if one is not None]
            if len(numbers) > 2 and value in (min(numbers), max(numbers)) and value != 0:
                log.warning(
                    "student: the best of %s, %g, is on the edge of its list; widen train.%s",
                    name,
                    value,
                    name,
                )


_LISTS = {
    "generated_weights": "generated_weight",
    "row_exponents": "row_exponent",
    "temperatures": "temperature",
    "l2": "l2",
}


def item_blocks(user_items: csr_array, size: int | None) -> list[Block]:
    """Cut the items into blocks that occur together.

    The most popular item that is in no block yet gathers those nearest to it by cosine, until none is left;
    where too few occur with it, the most popular follow. A block's support is its own items and as many
    others, those that occur most often with them (not by cosine: it is the popular ones that explain most).

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
    by_popularity = np.argsort(-_popularity(user_items), kind="stable")
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


def _put_together(parts: list[tuple[NDArray[Any], ...]], n_items: int) -> csr_array:
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    matrix = csr_array((values, (rows, columns)), shape=(n_items, n_items))
    matrix.sort_indices()
    return matrix


def _together(trainings: list[Training], score: float | None) -> Training:
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


def _parts(n_rows: int, width: int) -> list[slice]:
    """Cut rows of a width into slices of at most some millions of cells."""
    size = max(1, _BLOCK_CELLS // max(width, 1))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _sums(user_items: csr_array) -> NDArray[np.float64]:
    """Return each row's sum, (rows,)."""
    return np.asarray(user_items.sum(axis=1), dtype=np.float64)


def _powers(sizes: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return n^-a, 0 for an empty row."""
    return np.where(sizes > 0, np.where(sizes > 0, sizes, 1) ** -exponent, 0)


def _popularity(user_items: csr_array) -> NDArray[np.float32]:
    """Return the share of users who have each item, (items,)."""
    counts = np.bincount(user_items.indices[user_items.data != 0], minlength=user_items.shape[1])
    return (counts / max(user_items.shape[0], 1)).astype(np.float32)

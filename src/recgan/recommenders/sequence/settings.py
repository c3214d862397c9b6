"""The train section of the sequence model."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from recgan.core.memory import Need
from recgan.core.sections import Count, Positive
from recgan.recommenders.settings import FEWER_ITEMS, AlarmParams, WarmParams

HEAD = 32
"""Dimensions of an attention head."""


class SequenceParams(WarmParams):
    """Causal self-attention over a history in its order, trained to tell the next item."""

    has_adversary: ClassVar[bool] = False

    recommender: Literal["sequence"]
    width: Annotated[int, Field(ge=HEAD, multiple_of=HEAD)]
    """Dimensions of an item; a head of attention has 32 of them."""
    layers: Count
    """Blocks of attention, one on the other."""
    max_length: Annotated[int, Field(ge=2)]
    """Items of a history that are read, the newest."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the network's activations that a training step does not see."""
    ahead: Count
    """How many of the items that follow each step has to tell: a second one counts half as much as the next,
    a third one half of that. In what people buy on one day the order is chance."""
    tied: bool
    """True has one table of items for what is read and what is foretold, false one for each."""
    temperature: Positive
    """Cosines are divided by it: the lower, the more the loss is about the items nearest to the next one."""
    negatives: Count
    """Items drawn at random for each batch, which the next item has to outdo; at most all are taken."""
    learning_rate: Positive
    """At the start; it falls to 0 over `epochs` along a cosine. A warm start begins so many epochs before its
    end."""
    batch_size: Count
    """Histories in a batch."""
    alarms: AlarmParams

    @property
    def sizes(self) -> dict[str, Any]:
        """Return what decides the tables and layers."""
        return {name: getattr(self, name) for name in ("width", "layers", "max_length", "tied")}

    def needs(self, n_users: int, n_items: int, on_gpu: bool) -> Iterator[Need]:
        """Yield what training takes of memory at its peak: tables with Adam's moments, and their start."""
        tables = 1 if self.tied else 2
        yield Need(
            "sequence",
            n_items * self.width * (_ADAM * tables + _START) * self.trainer.on_cpu,
            f"{tables} table(s) of {n_items:,} items x {self.width}, in {self.trainer.on_cpu} process(es)",
            f"lower its width, or {FEWER_ITEMS}",
        )


_ADAM = 24  # bytes of a weight: itself, its gradient, two moments, the best one, a checkpoint's copy
_START = 40  # bytes of an entry of the singular vectors while they are found, in float64

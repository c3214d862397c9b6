"""The section `experiment` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from recgan.core.sections import Count, Positive, Section, Share

Design = Literal["split", "interleave"]


class ExperimentParams(Section):
    """The gate's second half, on shoppers; read by flow tasks and commands, by no DVC stage.

    Which experiment runs is no parameter: it stands in the registry, where every server sees it.
    """

    before_promotion: bool
    """Whether a nightly challenger of another recommender or other settings than the champion's begins an
    experiment where it passes the gate, in place of its promotion."""
    design: Design
    """split: a shopper is shown the lists of one version; interleave: each list is drawn from both."""
    share: Annotated[float, Field(gt=0, lt=1)]
    """Of the shoppers that meet the challenger, in lists of its own or in lists of both."""
    primary: Literal["click", "cart", "purchase"]
    """What decides: the share of answers with at least one such event; the others are only shown."""
    alpha: Annotated[float, Field(gt=0, lt=1)]
    """Level of the confidence sequence: how often two equal versions are called different, however often
    somebody looks."""
    attribution_days: Positive
    """An event counts for an answer within so many days; an answer counts once they are over."""
    min_shoppers: Count
    """In each arm, before anything is decided: the confidence sequence holds for many shoppers."""
    narrowest_at: Count
    """Independent answers of each arm at which the confidence sequence is narrowest for its kind; about as
    many as the smallest difference of interest needs."""
    longest_days: Positive
    """After which an experiment without a decision ends, and the champion stays."""
    max_milliseconds: Positive
    """Guardrail: the slowest answer in a hundred of the challenger's arm may take so long."""
    max_fallback: Share
    """Guardrail: share of the challenger's answers for which the champion or popularity stood in."""
    min_coverage: Share
    """Guardrail: distinct items in the challenger's lists, as a share of those in as many lists of the
    champion's arm, in 100,000 of each at most."""

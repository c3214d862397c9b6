"""Every number that changes a result: params.yaml, typed, frozen, without defaults.

A stage reads its own section and those of the stages before it; DVC tracks the same sections.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from recgan.accounts.settings import ScreenParams
from recgan.core.differences import BASE, merged_layers, read_layers
from recgan.core.errors import RecganError
from recgan.core.sections import Count, Positive, Section, Share, check_section, load_section
from recgan.data.settings import ValidateParams
from recgan.data.sources.catalogue import IngestParams
from recgan.evaluation.experiment_settings import ExperimentParams
from recgan.evaluation.exploration_settings import OffPolicyParams, ServeParams
from recgan.evaluation.settings import EvaluateParams
from recgan.features.settings import FeaturesParams
from recgan.recommenders.catalogue import CandidateParams
from recgan.recommenders.personal.settings import personal_faults


class GateParams(Section):
    """What a challenger must show before it becomes the champion."""

    must_beat: tuple[str, ...]
    """Candidates that whoever goes live must be significantly better than; usually none. All-time popularity
    and a champion of another kind are compared in any case."""
    max_loss: Annotated[float, Field(gt=0, lt=1)]
    """Share of the champion's mean NDCG at primary_k that a retraining of the same recommender and settings
    may lose at most. It passes where a one-sided paired bootstrap over users shows, at level alpha, that it
    loses less: p of "difference > -max_loss · the champion's mean" is below alpha."""
    alpha: Annotated[float, Field(gt=0, lt=1)]
    """Level of each test of the gate; after Holm where it asks who is better."""
    min_users: Count
    """Fewer users with something held out are too few: below 20 the bootstrap calls luck a difference more
    often than alpha says."""
    min_coverage: Share
    """Floor of catalogue coverage at primary_k."""


class RegisterParams(Section):
    """The registered model and its gate; read by flow tasks, by no DVC stage."""

    name: str
    """Name in the MLflow registry, and of the experiment."""
    gate: GateParams


# --- recommend ------------------------------------------------------------------------------------------


class RecommendParams(Section):
    """The published recommendations; read by flow tasks, by no DVC stage."""

    k: Count
    """Items for each shopper. Seen ones are left out unless features.repeat_purchases."""
    index_loss: Annotated[float, Field(ge=0, lt=1)] | None
    """Share of the k best items that an approximate index (faiss) may miss on average. What it misses is
    measured each time; where that is more, all are ranked exactly, as with null."""


# --- newcomers ------------------------------------------------------------------------------------------


class NewcomersParams(Section):
    """Products outside the champion's vocabulary; read by flow tasks and the server, by no DVC stage."""

    enabled: bool
    """Whether lists and answers name them."""
    max_share: Share
    """Of a list that may be new, as long as there are known products to fill it; .2 is 2 of 10."""
    lift: float | None
    """Standard deviations of a shopper's scores by which new products are raised; null chooses it on the last
    days that the champion was not trained on."""


# --- monitor --------------------------------------------------------------------------------------------


class MonitorParams(Section):
    """When drift makes retraining due; read by flow tasks, by no DVC stage."""

    days: Positive
    """The newest days of the log that are looked at, as far as the champion was not trained on them."""
    min_events: Count
    """Fewer newer events tell nothing."""
    max_psi: Positive
    """Of each histogram against the champion's training data; .25 is customary for a large change."""
    max_jensen_shannon: Share
    """Distance to base 2; a PSI of .25 is about .2."""
    max_unknown_items: Share
    """Share of the newest events with an item that neither the champion nor its new products name."""
    max_unknown_shoppers: Share
    """Share of the newest shoppers without an event in the champion's training data."""
    min_coverage: Share
    """Floor of the share of the champion's catalogue that the published lists reach."""
    min_recall: Share
    """Floor of the share of simulated fake accounts that the screen finds, in each style that
    `screen.canaries.watched` names; below it the monitor warns."""
    max_quarantined_growth: Annotated[float, Field(gt=1)]
    """The monitor warns once the share of accounts that the screen leaves out is so many times that of the
    night in which the champion was registered."""


CandidateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""A folder, a DVC stage and MLflow's metrics are called by it."""

_TAKEN = ("champion", "users", "users_left_out")
"""What stands beside the candidates' names in comparisons and metrics."""


class Params(Section):
    """All of params.yaml."""

    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")  # pydantic owns the plain name
    screen: ScreenParams
    features: FeaturesParams
    candidates: Annotated[dict[CandidateName, CandidateParams], Field(min_length=1)]
    """What is trained each night: name → recommender with its settings. The best on validation challenges the
    champion; where nothing is held out for validation, the first that was trained."""
    evaluate: EvaluateParams
    register_: RegisterParams = Field(alias="register")  # ABCMeta owns the plain name
    recommend: RecommendParams
    newcomers: NewcomersParams
    monitor: MonitorParams
    serve: ServeParams
    off_policy: OffPolicyParams
    experiment: ExperimentParams

    @model_validator(mode="before")
    @classmethod
    def _nothing_stands_elsewhere(cls, content: Any) -> Any:
        if isinstance(content, dict) and BASE in content:
            raise ValueError(
                f"{BASE} is {content[BASE]}, which DVC would not follow; put the whole in place by "
                "`recgan use params.yaml`"
            )
        candidates = content.get("candidates") if isinstance(content, dict) else None
        some = candidates if isinstance(candidates, dict) else {}
        if empty := [name for name, one in some.items() if one is None]:
            raise ValueError(
                f"candidates.{empty[0]} is empty; remove its line to do without it, or give it "
                "`recommender: KIND` and its settings"
            )
        if isinstance(content, dict) and (
            old := [name for name in ("baselines", "train") if name in content]
        ):
            raise ValueError(
                f"{' and '.join(old)}: such sections are candidates now. Put each baseline's grid and the "
                "train section under candidates, each by a name and with `recommender: KIND`, without "
                "metric_k, as examples/shop.yaml has them"
            )
        return content

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "Params":
        faults = []
        split, source = self.features.split, self.ingest.source
        if (split.kind == "published") != (source == "published-split"):
            faults.append(
                f"ingest.source is {source} but features.split.kind is {split.kind}; "
                "a published split needs both "
                "ingest.source: published-split and features.split.kind: published"
            )
        if self.ingest.feedback is not None and split.kind == "published":
            faults.append(
                "ingest.feedback is given, but a published split says of each row whether it is train or "
                "test, and says nothing of feedback; set ingest.feedback to null"
            )
        if self.recommend.index_loss is not None and self.newcomers.enabled:
            faults.append(
                f"recommend.index_loss is {self.recommend.index_loss:g}, but newcomers.enabled is true, and "
                "a new product's place needs the scores of all; set newcomers.enabled to false, or "
                "recommend.index_loss to null"
            )
        if self.evaluate.windows > 1 and split.kind != "time":
            faults.append(
                f"evaluate.windows is {self.evaluate.windows}, but a split of kind {split.kind} has no "
                "earlier window; set evaluate.windows to 1, or features.split.kind to time"
            )
        days = getattr(self.ingest, "days", None)  # of the simulated shop; other logs must be read first
        if days is not None and split.kind == "time":
            found = f"ingest.days {days} hold {{most}} at most"
            faults += filter(None, [self.evaluate.too_many_windows(split, days, found)])
        faults += self._faults_of_candidates()
        gate, samples = self.register_.gate, self.evaluate.bootstrap_samples
        comparisons = len(gate.must_beat) + 2  # popularity and the champion
        # As compare() and holm() have it: no p after Holm is below 2 * comparisons / (samples + 1). The test
        # of max_loss needs fewer samples: its p can be 1 / (samples + 1).
        least = math.floor(2 * comparisons / gate.alpha)
        if samples < least:
            faults.append(
                f"evaluate.bootstrap_samples is {samples}, so with {comparisons} comparisons the smallest p "
                f"after Holm is {2 * comparisons / (samples + 1):.3g}, never below register.gate.alpha "
                f"{gate.alpha:g}: nothing could be promoted; "
                f"raise evaluate.bootstrap_samples to {least} or more"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_candidates(self) -> Iterator[str]:
        names = list(self.candidates)
        for name in self.register_.gate.must_beat:
            if name not in names:
                yield (
                    f"register.gate.must_beat names {name}, which is no candidate; take it out of must_beat, "
                    f"or choose among {', '.join(names)}"
                )
        for name in set(names) & set(_TAKEN):
            yield f"candidates.{name}: {name} is a word of the reports; call it otherwise"
        for name, section in self.candidates.items():
            if section.recommender == "personal":
                yield from personal_faults(name, self.features.repeat_purchases)
        if getattr(self.features.split, "validation_share", None) == 0:
            for name, section in self.candidates.items():
                if getattr(section, "patience", None) is not None:
                    yield (
                        "features.split.validation_share is 0, so nothing can stop training early; "
                        f"set candidates.{name}.patience to null (a student's is teacher.patience)"
                    )


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, naming every fault at once.

    Raises:
        RecganError: the file is missing, is no YAML, or has unknown, missing or impossible values.
    """
    return load_section(path, Params)


def load_with_base(path: Path) -> Params:
    """Read and check a params file that may say only in what it differs from its `base`.

    Raises:
        RecganError: as `load_params`, or a base cannot be followed.
    """
    return check_params(read_with_base(path), path)


def read_with_base(path: Path) -> dict[str, Any]:
    """Return what a params file holds together with its bases, unchecked.

    Raises:
        RecganError: the file or a base is missing or no YAML, or the bases go round in a circle.
    """
    try:
        return merged_layers(read_layers(path), Params)
    except FileNotFoundError:
        raise RecganError(f"no {path} in {Path.cwd()}; give the path of a params file") from None


def check_params(content: Any, path: Path) -> Params:
    """Turn the content of a params file into Params, naming every fault at once.

    Raises:
        RecganError: unknown, missing or impossible values.
    """
    return check_section(content, path, Params)

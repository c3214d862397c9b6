"""Every number that changes a result: params.yaml, typed, frozen, without defaults.

A stage reads its own section and those of the stages before it; DVC tracks the same sections.
"""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from recgan.core.sections import Section, check_section, is_number, load_section

EventKind = Literal["view", "cart", "purchase", "rating"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _no_number(value: Any) -> Any:
    """Refuse what pydantic would take for seconds since 1970, such as 20260101."""
    if isinstance(value, int | float) or (isinstance(value, str) and is_number(value)):
        raise ValueError('is a number, not a time; write it as "2026-01-31T00:00:00Z"')
    return value


Instant = Annotated[datetime, BeforeValidator(_no_number)]
"""A time in quotes; without a zone it is UTC."""


def _event_name(name: Any) -> Any:
    # YAML reads an unquoted 1 as a number, and some readers yes, on and off as truth values.
    if isinstance(name, str) or type(name) is int:
        return str(name)
    raise ValueError(f"YAML reads the name {name!r} as no text; write it in quotes, as the file has it")


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; write an IANA name such as Europe/Berlin") from None


EventName = Annotated[str, BeforeValidator(_event_name)]

# --- ingest ---------------------------------------------------------------------------------------------


class Source(Section):
    """What every source has."""

    path: Path
    """The raw file or folder, tracked by DVC; `raw` for a source that is simulated or downloaded."""


class ShopSource(Source):
    """The simulated shop."""

    source: Literal["shop"]
    seed: Seed
    events: Annotated[int, Field(ge=1000)]
    """Rows to simulate, the dirty ones included."""
    days: Annotated[int, Field(ge=7)]
    end: Instant
    """The instant (UTC) at which the simulated log ends."""


class MovieLensSource(Source):
    """MovieLens as GroupLens ships it."""

    source: Literal["movielens-100k", "movielens-1m"]


class OnlineRetailSource(Source):
    """UCI Online Retail, the raw log."""

    source: Literal["online-retail"]


class CompleteJourneySource(Source):
    """84.51° Complete Journey, exported from the R package completejourney."""

    source: Literal["completejourney"]


class PublishedSplitSource(Source):
    """A fixed published split: two text files of `user item rating`, ids as the paper has them."""

    source: Literal["published-split"]
    train: str
    """Name of the train file inside `path`."""
    test: str
    """Name of the test file inside `path`."""


class OwnFilesSource(Source):
    """The user's own CSV or Parquet files with a mapping of columns."""

    source: Literal["files"]
    events: str
    """Name of the events file inside `path` (.csv, .csv.gz or .parquet), or of a folder of part files."""
    items: str | None
    """Name of the items file inside `path`; null makes the items from the events."""
    users: str | None
    """Name of the users file inside `path`; null makes the users from the events."""
    columns: dict[str, str]
    """recgan's event column → the file's column; user_id, item_id and timestamp are required."""
    item_columns: dict[str, str]
    """recgan's item column → the file's column; item_id is required where `items` is given."""
    user_columns: dict[str, str]
    """recgan's user column → the file's column; user_id is required where `users` is given."""
    event: EventKind | None
    """The kind of every event when the file has no such column; null when it has."""
    event_names: dict[EventName, EventKind]
    """The file's name of an event kind → ours, where they differ."""
    null_words: tuple[str, ...]
    """Words that stand for a missing value in any column, in upper or lower case; blank always does. Take one
    out if it is an id or a title of yours."""
    timezone: Annotated[str, AfterValidator(_known_zone)] | None
    """IANA name of the zone (Europe/Berlin) of times that are written without one; null takes those as UTC,
    and refuses a column where others have a zone."""


IngestParams = Annotated[
    ShopSource
    | MovieLensSource
    | OnlineRetailSource
    | CompleteJourneySource
    | PublishedSplitSource
    | OwnFilesSource,
    Field(discriminator="source"),
]

# --- validate -------------------------------------------------------------------------------------------

Reason = Literal[
    "null_user",
    "null_item",
    "unknown_event",
    "null_timestamp",
    "future_timestamp",
    "outside_period",
    "cancellation",
    "value_out_of_range",
    "price_out_of_range",
    "not_a_product",
    "unknown_item",
    "fake_account",
    "duplicate",
]


class ValueRange(Section):
    """Closed range of `value` for one kind of event."""

    low: float
    high: float


class ValidateParams(Section):
    """What is expected of the events, and what cleaning may drop."""

    period_start: Instant | None
    """The declared period of the log; null leaves that side open."""
    period_end: Instant | None
    values: dict[EventKind, ValueRange]
    """Range of `value` by event kind; a kind not named here is not checked."""
    price: ValueRange | None
    """Range of `price` where an event has one; null leaves it unchecked."""
    not_products: tuple[str, ...]
    """Ids in the events that no shopper shall be recommended: postage, fees, corrections, vouchers. Their
    rows are left out, whatever `drop` says, and no other rule judges them."""
    expected: tuple[Reason, ...]
    """Reasons for which rows are left out as a matter of course, such as null_user where guests may buy. Such
    a row has no fault: no other rule judges it, and `max_quarantined_share` does not count it."""
    drop: tuple[Reason, ...]
    """Faults for which cleaning may drop a row into quarantine; any other broken rule stops the pipeline."""
    max_quarantined_share: Share
    """The largest share of faulty rows among those that are judged, which leaves out the expected ones."""
    min_events: Count
    max_age_days: Positive | None
    """Freshness: how old the newest event may be, in days before now; null for a historical log."""
    max_user_share: Share
    """The largest share of all events that one shopper may have."""


# --- features -------------------------------------------------------------------------------------------


class TimeSplit(Section):
    """Windows cut at two global instants."""

    kind: Literal["time"]
    validation_days: Positive
    test_days: Positive


class RandomSplit(Section):
    """Random shares of all interactions, each drawn by itself; only to compare with papers."""

    kind: Literal["random"]
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    test_share: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed

    @model_validator(mode="after")
    def _something_is_left_for_train(self) -> "RandomSplit":
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share {self.validation_share:g} and test_share {self.test_share:g} leave "
                "nothing for train; together they must be below 1"
            )
        return self


class LeaveLastOutSplit(Section):
    """Each user's last item for test, the one before for validation; only to compare with papers."""

    kind: Literal["leave-last-out"]


class PublishedSplit(Section):
    """The source's own test rows; validation is a random share of its train interactions."""

    kind: Literal["published"]
    validation_share: Annotated[float, Field(ge=0, lt=1)]
    """0 for no validation at all: nothing can then be chosen, and early stopping must be off."""
    seed: Seed


Split = Annotated[TimeSplit | RandomSplit | LeaveLastOutSplit | PublishedSplit, Field(discriminator="kind")]


class FeaturesParams(Section):
    """From kept events to matrices."""

    weights: dict[EventKind, NonNegative]
    """Confidence of one event of that kind; 0 leaves the kind out."""
    binary: bool
    """True makes every confidence 1."""
    min_rating: float | None
    """Ratings below are no sign of interest and are left out; null keeps all."""
    half_life_days: Positive | None
    """An event this much older counts half; null for no decay."""
    min_user_items: Count
    """k-core: users with fewer distinct items in the train window are left out of it."""
    min_item_users: Count
    """k-core: items with fewer distinct users in the train window are left out of the vocabulary."""
    repeat_purchases: bool
    """True keeps items already seen in what is held out (and in recommendations)."""
    split: Split


# --- baselines, train, evaluate -------------------------------------------------------------------------


class NeighbourGrid(Section):
    """ItemKNN (cosine, shrunk)."""

    neighbours: tuple[Count, ...]
    shrink: tuple[NonNegative, ...]
    asymmetry: tuple[Share, ...]
    """How much of the cosine's norm is the source item's; 0.5 is the plain cosine."""


class RP3betaGrid(Section):
    """RP3beta (Paudel et al. 2017)."""

    neighbours: tuple[Count, ...]
    alpha: tuple[NonNegative, ...]
    beta: tuple[NonNegative, ...]


class EASEGrid(Section):
    """EASE (Steck 2019)."""

    l2: tuple[Positive, ...]


class IALSGrid(Section):
    """iALS (Hu et al. 2008) from `implicit`."""

    factors: tuple[Count, ...]
    regularization: tuple[NonNegative, ...]
    alpha: tuple[Positive, ...]
    iterations: tuple[Count, ...]


class BaselinesParams(Section):
    """Grids of the tuned baselines; the best setting on validation is refitted and ranked on test."""

    seed: Seed
    metric_k: Count
    """Settings are chosen by NDCG at this k on validation."""
    itemknn: NeighbourGrid | None
    """null leaves this baseline out, as it does each below; popularity is always there."""
    rp3beta: RP3betaGrid | None
    ease: EASEGrid | None
    """Its memory is 52 bytes for each pair of items: 11 GiB for 15,000 items, 81 GiB for 41,000."""
    ials: IALSGrid | None


class NetworkParams(Section):
    """One side of the game: network and optimiser."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    learning_rate: Positive
    l2: NonNegative
    """Coefficient of half the squared norm of all weights in the loss."""
    batch_size: Count
    steps: Count
    """Passes over the rows in one epoch."""


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamParams(Section):
    """What one side's Adam needs beside its rate."""

    betas: tuple[Beta, Beta]
    """Decay of the gradient's first and second moment; [0, 0.9] is customary with gradient penalties."""
    clip_gradient: Positive | None
    """Largest norm of the gradient in a step; null leaves it as it is."""


class ConstraintParams(Section):
    """What keeps the discriminator from growing without bound; several may be on."""

    clip_weights: Positive | None
    """Largest absolute weight after each step (Arjovsky et al. 2017: 0.01); null clips none."""
    gradient_penalty: NonNegative
    """λ of WGAN-GP: the slope between real and fake is drawn to 1 (Gulrajani et al. 2017: 10)."""
    r1: NonNegative
    """γ of half the squared slope at real rows (Mescheder et al. 2018)."""
    r2: NonNegative
    """γ of half the squared slope at fake rows."""
    spectral_norm: bool
    """True keeps the largest singular value of every weight matrix at 1 (Miyato et al. 2018)."""


class ScheduleParams(Section):
    """Who plays when, and what is kept of it."""

    critic_steps: Count | None
    """Discriminator steps before each generator step; null plays all of one turn, then all of the other."""
    warm_up: Annotated[int, Field(ge=0)]
    """Epochs at the start in which the discriminator learns but the generator does not hear it."""
    ramp: Annotated[int, Field(ge=0)]
    """Epochs after that in which the adversarial loss rises linearly to its whole weight."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay per step of the average of the generator's weights, which is then what is evaluated and saved."""


class AlarmParams(Section):
    """Lines at which a measure of the training's health puts a warning into the log; null draws none."""

    grace: Count
    """Epochs at the start that raise no alarm; a gradient's early level is its median over them."""
    gradient_growth: Annotated[float, Field(gt=1)] | None
    """Largest gradient norm in multiples of its early level, for either side."""
    effective_items: Positive | None
    """Smallest effective number of distinct items, exp(entropy), in the top-20 lists of 512 users."""
    effective_rank: Positive | None
    """Smallest effective rank of those users' scores, exp(entropy of the singular values)."""


class DiscriminatorAlarmParams(AlarmParams):
    """The same, and a line for a discriminator that judges pairs."""

    win_rate: Annotated[float, Field(gt=0, le=1)] | None
    """Highest share of pairs in which the discriminator puts the real row above the fake one."""


class StabilityParams(Section):
    """What steadies an adversarial training, and what watches it."""

    generator: AdamParams
    discriminator: AdamParams
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    """How far below 1 the discriminator's target for real rows is (Salimans et al. 2016: 0.1)."""
    feature_matching: NonNegative
    """Coefficient of the distance between the discriminator's mean features of real and fake rows."""
    constraints: ConstraintParams
    schedule: ScheduleParams
    alarms: DiscriminatorAlarmParams


class TrainingParams(Section):
    """What the training of every GAN recommender has."""

    seed: Seed
    accelerator: Literal["auto", "cpu", "gpu"]
    epochs: Count
    """The most epochs; CFGAN's is `steps` passes of each network (the original counts generator passes)."""
    evaluate_every: Count
    """Epochs between two looks at validation."""
    patience: Count | None
    """Looks at validation without a better NDCG before training stops; null never stops early."""
    metric_k: Count
    """Early stopping, the checkpoint and all that validation chooses follow NDCG at this k."""
    refit: bool
    """True trains anew on train + validation for the number of epochs that validation chose."""


class CFGANParams(TrainingParams):
    """CFGAN (Chae et al., CIKM 2018)."""

    recommender: Literal["cfgan"]
    view: Literal["user", "item"]
    """Rows of the networks' input: a user's items, or an item's users."""
    loss: Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
    """The adversarial loss; the original trains with the first and writes the second."""
    stability: StabilityParams
    generator: NetworkParams
    discriminator: NetworkParams
    zero_reconstruction_share: Share
    """Share of each row's zeros, drawn anew every epoch, that the generator must keep at zero."""
    zero_reconstruction: NonNegative
    """Coefficient of that term."""
    partial_masking_share: Share
    """Share of each row's zeros, drawn anew every epoch, that the discriminator gets to see."""
    fold_in_l2: Positive
    """Ridge with which the item view folds in histories it was not fitted on; the user view needs none."""

    @model_validator(mode="after")
    def _stability_fits(self) -> "CFGANParams":
        faults = _stability_faults(self.stability, self.loss, self.discriminator.steps, self.epochs)
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _stability_faults(stability: StabilityParams, loss: str, passes: int, epochs: int) -> list[str]:
    """Say what of a stability section counts for nothing beside the loss, the critic's passes and epochs."""
    faults, schedule = [], stability.schedule
    if stability.label_smoothing and loss in ("wasserstein", "hinge", "relativistic"):
        faults.append(
            f"stability.label_smoothing is {stability.label_smoothing:g}, but loss {loss} has no "
            "target for real rows to smooth; set it to 0, or loss to non_saturating, saturating or "
            "least_squares"
        )
    if schedule.critic_steps is not None and passes != 1:
        faults.append(
            f"stability.schedule.critic_steps is {schedule.critic_steps}, so discriminator.steps "
            f"({passes}) counts for nothing; set it to 1, or critic_steps to null"
        )
    if schedule.warm_up >= epochs:
        faults.append(
            f"stability.schedule.warm_up is {schedule.warm_up} of {epochs} epochs, so the generator "
            "would never hear the discriminator; shorten it"
        )
    return faults


class ViewParams(Section):
    """The network that reads one view of the matrix, and its AdamW."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the condition's entries that a training step does not see."""
    learning_rate: Positive
    weight_decay: NonNegative
    """Decoupled: each step takes learning_rate · weight_decay off every weight."""
    batch_size: Count


class RCGANParams(TrainingParams):
    """RC-GAN: a generator in the user view, a residual critic in the item view."""

    recommender: Literal["rcgan"]
    generator: ViewParams
    critic: ViewParams
    unobserved_weight: Annotated[float, Field(gt=0, le=1)]
    """Weight η of an item the history does not hold, beside 1 of one that it does."""
    user_weight_power: Annotated[float, Field(ge=0, le=1)]
    """A user of n items counts n^-this in the generator's loss, the mean being 1; 0 counts all alike."""
    adversarial: NonNegative
    """Coefficient λ of the critic's judgement in the generator's loss; 0 trains without an adversary."""
    gradient_penalty: Positive
    """Coefficient γ of half the critic's squared gradient."""
    critic_shares: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of k, how much of the critic's residual is added to the generator's scores; validation
    chooses, and without validation it is the first."""
    fold_in_l2: Positive
    """Ridge with which the critic's residual is found for a history it was not fitted on."""
    alarms: AlarmParams


class PretrainingParams(Section):
    """IRGAN's first epochs: the generator learns by likelihood."""

    epochs: Annotated[int, Field(ge=0)]
    """The first of train.epochs, so as many or more leave no adversarial ones; patience counts them too."""
    learning_rate: Positive
    l2: NonNegative
    """Coefficient of half the squared norm of all the generator's weights in the loss."""


class FactorsParams(Section):
    """One of IRGAN's players: factors of users and items, and its Adam."""

    factors: Count
    learning_rate: Positive
    l2: NonNegative
    """Coefficient of half the squared norm of all weights in the loss."""
    batch_size: Count
    """Users in a batch."""
    steps: Count
    """Passes over the users in one epoch."""


class IRGANParams(TrainingParams):
    """IRGAN (Wang et al., SIGIR 2017)."""

    recommender: Literal["irgan"]
    pretraining: PretrainingParams
    generator: FactorsParams
    """Its learning_rate and l2 are those of the adversarial epochs."""
    discriminator: FactorsParams
    temperature: Positive
    """The discriminator's fakes are drawn from softmax(scores / temperature); the original: 0.2."""
    own_items: Annotated[float, Field(ge=0, lt=1)]
    """Share λ of the user's own items in what the generator's draws are from; the original: 0.2."""
    draws: Count | None
    """Items drawn for each of the user's items in a generator step (the original: 2); null takes the exact
    expectation over all items instead of drawing."""
    fold_in_l2: Positive
    """Ridge with which histories that were not fitted on are folded in."""
    alarms: DiscriminatorAlarmParams


class StudentParams(Section):
    """The student: a linear recommender in closed form, on real rows and on those that RC-GANs generate."""

    recommender: Literal["student"]
    teacher: RCGANParams
    """The first teacher, a train section of its own; each further one has the next seed. Its `metric_k` and
    `refit` are the student's too."""
    teachers: Count
    """How many are trained; their scores' mean is what the student learns from."""
    teacher_users: Count | None
    """Users drawn to train the teachers on, and for whom they generate; null takes all. Their scores take 4
    bytes for each cell of these rows."""
    generated_weights: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of ω, the weight of a generated row beside 1 of a real one; 0 trains no teacher. Of this
    and the three lists below validation chooses, and without validation it is the first of each."""
    row_exponents: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Values to try of a: a row of n items weighs n^-a."""
    temperatures: Annotated[tuple[Positive | None, ...], Field(min_length=1)]
    """Values to try of τ, by which scores are divided before the softmax that makes them a profile; null
    takes the scores as they are."""
    l2: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Values to try of λ, the ridge."""
    neighbours: Count | None
    """Entries to keep for each item, the largest; null keeps all: items² numbers."""
    block_items: Count | None
    """Items to solve for at a time, beside as many others; null solves for all at once, which takes 66 bytes
    for each pair of items."""

    @property
    def patience(self) -> int | None:
        """The teachers'."""
        return self.teacher.patience

    @property
    def metric_k(self) -> int:
        """The teachers'."""
        return self.teacher.metric_k

    @property
    def refit(self) -> bool:
        """The teachers'."""
        return self.teacher.refit


class VectorParams(Section):
    """How products become vectors."""

    factors: Count
    """Collaborative factors, the leading singular vectors of train."""
    content: Count
    """Most dimensions of the content's part."""
    content_l2: Positive
    """Ridge of the content's whitening: the larger, the less the rare contents count."""
    tokens: Count
    """Most categories, brands and title words, those of the most products."""
    min_token_items: Count
    """Products that a category, brand or word must have."""


class ServingParams(Section):
    """From what the generator draws to the scores of products."""

    draws: Count
    """Vectors drawn for each history; the first is without noise, so 1 is the point forecast alone."""
    noise_scale: Positive
    """Standard deviation of the noise of those draws; below 1 they are likelier ones and more alike (the
    truncation trick, Brock et al. 2019)."""
    nearest: Count
    """Products taken from the neighbourhood of each draw; all others follow by popularity."""
    merge: Literal["sum", "best"]
    """The draws are merged by the sum of a product's reciprocal ranks (consensus), or by the best of them
    (every taste in turn)."""
    content_share: Share
    """Share of the content in the similarity, the rest is of the collaborative factors; a new product has the
    content's part alone."""
    faiss_above: Count
    """Products above which neighbours are searched by faiss where it is installed, approximately."""


class FeatureGANParams(TrainingParams):
    """The retail GAN: from a history and noise to the vector of a product."""

    recommender: Literal["feature_gan"]
    vectors: VectorParams
    factor_dropout: Share
    """Share of the training's histories, and of the judged vectors, that have no collaborative factors."""
    noise: Count
    """Dimensions of z."""
    loss: Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
    adversarial: NonNegative
    """Coefficient of the adversarial loss of the vectors drawn with noise."""
    mode_seeking: NonNegative
    """Coefficient of the term that keeps apart two vectors drawn for one history (Mao et al. 2019)."""
    regression: NonNegative
    """Coefficient of the squared distance of the vector without noise from the mean of what came."""
    stability: StabilityParams
    generator: NetworkParams
    discriminator: NetworkParams
    serving: ServingParams

    @model_validator(mode="after")
    def _terms_fit_together(self) -> "FeatureGANParams":
        faults = _stability_faults(self.stability, self.loss, self.discriminator.steps, self.epochs)
        if not (self.adversarial or self.regression or self.stability.feature_matching):
            faults.append("adversarial, regression and stability.feature_matching are 0: nothing is learned")
        if faults:
            raise ValueError("; ".join(faults))
        return self


TrainParams = Annotated[
    CFGANParams | RCGANParams | IRGANParams | StudentParams | FeatureGANParams,
    Field(discriminator="recommender"),
]


class EvaluateParams(Section):
    """Offline evaluation on the test window."""

    k: tuple[Count, ...]
    primary_k: Count
    """The k of the metrics that the table shows and the gate compares."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
    head_share: Annotated[float, Field(gt=0, lt=1)]
    """The most popular share of the items is the head, the rest the tail."""
    new_item_days: Positive
    """Items first sold this many days before the test window or later are new."""

    @model_validator(mode="after")
    def _primary_k_is_measured(self) -> "EvaluateParams":
        if self.primary_k not in self.k:
            raise ValueError(f"primary_k is {self.primary_k}, which is not in k {list(self.k)}; add it there")
        return self


# --- register -------------------------------------------------------------------------------------------

BaselineName = Literal["popularity", "itemknn", "rp3beta", "ease", "ials"]


class GateParams(Section):
    """What a challenger must show before it becomes the champion."""

    must_beat: tuple[BaselineName, ...]
    """Each is one comparison, and the champion is one more."""
    alpha: Annotated[float, Field(gt=0, lt=1)]
    """Level of the paired bootstrap after Holm, over all comparisons."""
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
    """Share of the newest events with an item that the champion does not know."""
    max_unknown_shoppers: Share
    """Share of the newest shoppers without an event in the champion's training data."""
    min_coverage: Share
    """Floor of the share of the champion's catalogue that the published lists reach."""


class Params(Section):
    """All of params.yaml."""

    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")  # pydantic owns the plain name
    features: FeaturesParams
    baselines: BaselinesParams
    train: TrainParams
    evaluate: EvaluateParams
    register_: RegisterParams = Field(alias="register")  # ABCMeta owns the plain name
    recommend: RecommendParams
    monitor: MonitorParams

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
        for name in self.register_.gate.must_beat:
            if getattr(self.baselines, name, True) is None:
                faults.append(
                    f"register.gate.must_beat names {name}, but baselines.{name} is null; take it out of "
                    "must_beat, or give it a grid"
                )
        share = getattr(split, "validation_share", None)
        if share == 0 and self.train.patience is not None:
            faults.append(
                "features.split.validation_share is 0, so nothing can stop training early; "
                "set train.patience to null (a student's is train.teacher.patience)"
            )
        gate, samples = self.register_.gate, self.evaluate.bootstrap_samples
        comparisons = len(gate.must_beat) + 1  # the champion
        # As compare() and holm() have it: no p after Holm is below 2 * comparisons / (samples + 1).
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


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, naming every fault at once.

    Raises:
        RecganError: the file is missing, is no YAML, or has unknown, missing or impossible values.
    """
    return load_section(path, Params)


def check_params(content: Any, path: Path) -> Params:
    """Turn the content of a params file into Params, naming every fault at once.

    Raises:
        RecganError: unknown, missing or impossible values.
    """
    return check_section(content, path, Params)

"""Train a candidate, choose its epoch on validation, train it anew."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recgan.adversarial.devices import pick_device
from recgan.core import closure, layout
from recgan.core.errors import RecganError
from recgan.core.memory import Need
from recgan.features.matrices import Features
from recgan.recommenders.averaged.settings import AveragedParams
from recgan.recommenders.catalogue import module_of, trained_class
from recgan.recommenders.curves import curves_csv
from recgan.recommenders.gan import GANRecommender
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.settings import CandidateSection, TrainingParams, WarmParams
from recgan.recommenders.student.settings import StudentParams
from recgan.recommenders.trained import Trained, Training
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.recommenders.validation import Validation
from recgan.recommenders.warm import Begin, History, Plan, is_good, plan_of, write_left
from recgan.recommenders.widened import Widened, write_items

log = logging.getLogger(__name__)

TrainParams = TrainingParams | StudentParams | TwoStageParams | AveragedParams


@dataclass(frozen=True)
class Fitted:
    """The recommender that serves, and the training in which its epoch was chosen."""

    trained: Trained
    chosen: Training
    items: int
    """That it was fitted on."""
    all_items: int
    """Of the vocabulary of train + validation."""
    leave: Callable[[Path], None] | None = None
    """Writes what the next night may begin from; None where the settings do not ask for it."""
    begun: Mapping[str, Any] = field(default_factory=dict)
    """What the metrics say of a warm start."""

    @property
    def recommender(self) -> Recommender:
        """Return what scores all items: those that it was not fitted on come last."""
        return self.trained if self.items == self.all_items else Widened(self.trained, self.items)

    def metrics(self) -> dict[str, Any]:
        """Return what the candidate's metrics say of it."""
        weighed = {}
        if hasattr(self.trained, "half_life_days"):
            weighed["half_life_days"] = self.trained.half_life_days
        return {
            "best_epoch": self.chosen.best_epoch,
            "validation_ndcg": self.chosen.validation_ndcg,
            "epochs": self.chosen.epochs,
            "parameters": self.trained.parameters,
            "alarms": self.chosen.alarms,
            **weighed,
            **self.begun,
            **({"ablations": self.chosen.ablations} if self.chosen.ablations else {}),
        }

    def curves(self) -> str:
        """Return the epochs of the training that chose, as CSV."""
        return curves_csv(self.chosen.curves)

    def save(self, folder: Path) -> None:
        """Write the recommender into an existing folder."""
        self.trained.save(folder)
        if self.items < self.all_items:
            write_items(self.items, folder)
        if self.leave is not None:
            self.leave(folder / layout.WARM)


def check_validation(settings: TrainParams, features: Features) -> None:
    """Refuse an early stop where nothing can tell when.

    Raises:
        RecganError: there is a patience, but no validation window.
    """
    if features.validation is None and settings.patience is not None:
        raise RecganError(
            "there is no validation window to stop training early; set its patience to null (a student's is "
            "teacher.patience, that of two_stage generator.patience, of averaged member.patience)"
        )


def train(
    settings: TrainParams, features: Features, k: int, checkpoints: Path, plan: Plan | None = None
) -> Fitted:
    """Fit on train, choose the epoch on validation and, where `refit` says so, fit anew on both.

    Args:
        settings: of the candidate.
        features: matrices; nothing of the test window is read.
        k: validation chooses by NDCG at k.
        checkpoints: folder from which a training that was stopped goes on.
        plan: how it begins, of settings that ask for warm starts; None otherwise.

    Raises:
        RecganError: the accelerator is not there, or training diverged.
    """
    log.info(
        "training %s on %s users x %s items, %s interactions",
        settings.recommender,
        *(f"{size:,}" for size in (*features.train.shape, features.train.nnz)),
    )
    plan = plan or Plan()
    chosen = fit_and_choose(settings, features, k, checkpoints, plan.first)
    history = compare(plan, settings, features, k, checkpoints, chosen)
    recommender, fitted_on = chosen, features.train
    if settings.refit and features.validation is not None:
        epochs = chosen.training.best_epoch
        log.info("training anew on train + validation%s", f" for {epochs} epochs" if epochs else "")
        fitted_on = features.train_validation
        recommender = began(chosen.anew(), plan.second).fit(
            fitted_on,
            epochs=chosen.training.best_epoch,
            checkpoint=checkpoints / "refit.ckpt",
            label="refit",
        )
        ndcg = chosen.training.validation_ndcg
        recommender.training = replace(recommender.training, validation_ndcg=ndcg)
    fitted = Fitted(recommender, chosen.training, fitted_on.shape[1], features.train_validation.shape[1])
    if not isinstance(settings, WarmParams) or settings.warm_start is None:
        return fitted
    assert isinstance(chosen, GANRecommender)
    assert isinstance(recommender, GANRecommender)
    assert chosen.left is not None
    weights = chosen.left, None if recommender is chosen else recommender.left
    begun = {"began_from": plan.began_from, "warm_start_good": history.good}
    leave = partial(write_left, settings=settings, features=features, weights=weights, history=history)
    return replace(fitted, leave=leave, begun=begun)


def compare(
    plan: Plan, settings: TrainParams, features: Features, k: int, checkpoints: Path, chosen: Trained
) -> History:
    """Return what is known of warm starts after tonight's training.

    On a night that compares, the warm start plays until its first look.

    Args:
        plan: how tonight's training began.
        settings: of the candidate.
        features: of tonight.
        k: validation chooses by NDCG at k.
        checkpoints: folder from which a training that was stopped goes on.
        chosen: tonight's training.
    """
    anew = chosen.training.validation_ndcg
    if plan.compared is None or anew is None:
        return plan.history
    assert isinstance(settings, TrainingParams)
    looks = settings.evaluate_every
    warm = fit_and_choose(settings, features, k, checkpoints, plan.compared, looks).training.validation_ndcg
    assert warm is not None
    good = is_good(warm, anew)
    log.info(
        "NDCG on validation: %.4f anew, %.4f at the warm start's first look; the next nights begin %s",
        anew,
        warm,
        "warm" if good else "anew",
    )
    return replace(plan.history, good=good)


def how_it_begins(settings: TrainParams, features: Features, start: Path | None, name: str) -> Plan | None:
    """Say how tonight's training of a candidate begins; None where its settings ask for no warm start.

    Args:
        settings: of the candidate.
        features: of tonight.
        start: the folder of what it may begin from; None begins anew.
        name: of the candidate.
    """
    if not isinstance(settings, WarmParams) or settings.warm_start is None:
        return None
    kind = trained_class(settings.recommender)
    assert issubclass(kind, GANRecommender)
    return plan_of(start, name, settings, kind.tables, features)


def began(recommender: Trained, begin: Begin | None) -> Trained:
    """Return an unfitted recommender that begins so; None begins anew."""
    if begin is not None:
        assert isinstance(recommender, GANRecommender)
        recommender.begin = begin
    return recommender


def needs(settings: TrainParams, features: Features) -> Iterator[Need]:
    """Yield what a training of these settings on these features takes of the machine's memory.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    shape = (features.train_validation if settings.refit else features.train).shape
    return settings.needs(*shape, on_gpu(settings))


def on_gpu(settings: TrainParams) -> bool:
    """Say whether a training of these settings plays on a GPU here.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    return pick_device(settings.trainer.accelerator).type == "cuda"


def unfitted(settings: TrainParams, features: Features) -> Trained:
    """Return the recommender of these settings, to be fitted on matrices of these features."""
    return trained_class(settings.recommender).unfitted(settings, features)


def fit_and_choose(
    settings: TrainParams,
    features: Features,
    k: int,
    checkpoints: Path | None = None,
    begin: Begin | None = None,
    epochs: int | None = None,
) -> Trained:
    """Fit on train and keep the epoch with the best NDCG at k on validation, if there is a validation.

    Args:
        settings: of the candidate.
        features: matrices; nothing of the test window is read.
        k: validation chooses by NDCG at k.
        checkpoints: folder from which a training that was stopped goes on; None keeps none.
        begin: sets the first weights; None begins anew.
        epochs: the most; None takes the settings', of a warm start theirs.
    """
    validate = None
    if features.validation is not None:
        validate = Validation(features.validation, k, not features.summary["repeat_purchases"])
    label = "train"
    if begin is not None:
        label, epochs = "warm", epochs or getattr(settings, "warm_start", None)
    checkpoint = "choose.ckpt" if begin is None else "warm.ckpt"
    return began(unfitted(settings, features), begin).fit(
        features.train,
        validate=validate,
        epochs=epochs,
        checkpoint=checkpoints / checkpoint if checkpoints is not None else None,
        label=label,
    )


def fingerprint(settings: TrainParams, features: Features, k: int, plan: Plan | None = None) -> str:
    """Name a training by all that decides its result: settings, features, k, start, code, torch's version."""
    parts = [settings.model_dump_json(), str(features.summary["md5"]), str(k), torch.__version__]
    if plan is not None:
        parts.append(f"{plan.began_from} {plan.version}")
    return closure.name_by(parts, (__name__, *map(module_of, sorted(kinds_of(settings)))))


def kinds_of(section: CandidateSection) -> set[str]:
    """Return the kinds of a candidate and of all candidates inside it."""
    inside = [getattr(section, name, None) for name in ("generator", "member", "teacher")]
    kinds = {section.recommender}
    for one in (*inside, *getattr(section, "blend", ())):
        if isinstance(one, CandidateSection):
            kinds |= kinds_of(one)
    return kinds

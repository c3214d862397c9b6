"""The train stage: fit the GAN, choose the epoch on validation, refit, write the recommender."""

import csv
import hashlib
import io
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.adversarial.devices import pick_device
from recgan.adversarial.diagnostics import Row
from recgan.core import closure
from recgan.core.errors import RecganError
from recgan.core.files import replacing, write_json, write_text
from recgan.core.memory import refuse
from recgan.features.matrices import Features, read_features
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.feature_gan.recommender import FeatureGAN
from recgan.recommenders.footprint import of_training
from recgan.recommenders.gan import Trained
from recgan.recommenders.irgan.recommender import IRGAN
from recgan.recommenders.protocol import Recommender
from recgan.recommenders.ranking import window_ndcg
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.student.recommender import Student
from recgan.settings import (
    CFGANParams,
    FeatureGANParams,
    IRGANParams,
    RCGANParams,
    StudentParams,
    TrainParams,
    load_params,
)

log = logging.getLogger(__name__)


def train(*, root: Path = Path()) -> None:
    """Train the recommender of params.yaml on data/features.

    Writes models/recommender, reports/curves.csv and metrics/train.json. A training that was stopped, killed
    or lost its machine goes on from checkpoints/ when the same training is asked for again.

    Raises:
        RecganError: the features are missing, nothing can choose an epoch, the recommender needs more memory
            than is free, or training diverged.
    """
    settings = load_params(root / "params.yaml").train
    features = read_features(root / "data/features")
    if features.validation is None and settings.patience is not None:
        raise RecganError(
            "there is no validation window to stop training early; set train.patience to null "
            "(a student's is train.teacher.patience)"
        )
    refuse(of_training(settings, features, on_gpu(settings)))
    checkpoints = root / "checkpoints" / fingerprint(settings, features)
    log.info(
        "training %s on %d users x %d items, %d interactions",
        settings.recommender,
        *features.train.shape,
        features.train.nnz,
    )
    chosen = fit_and_choose(settings, features, checkpoints)
    recommender = chosen
    if settings.refit and features.validation is not None:
        log.info("training anew on train + validation for %d epochs", chosen.training.best_epoch)
        recommender = chosen.anew().fit(
            features.train_validation,
            epochs=chosen.training.best_epoch,
            checkpoint=checkpoints / "refit.ckpt",
            label="refit",
        )
        ndcg = chosen.training.validation_ndcg
        recommender.training = replace(recommender.training, validation_ndcg=ndcg)
    with replacing(root / "models/recommender") as folder:
        folder.mkdir()
        recommender.save(folder)
    write_text(root / "reports/curves.csv", curves_csv(chosen.training.curves))
    write_json(
        root / "metrics/train.json",
        {
            "best_epoch": chosen.training.best_epoch,
            "validation_ndcg": chosen.training.validation_ndcg,
            "epochs": chosen.training.epochs,
            "parameters": recommender.parameters,
            "alarms": chosen.training.alarms,
        },
    )
    shutil.rmtree(checkpoints, ignore_errors=True)


def on_gpu(settings: TrainParams) -> bool:
    """Say whether a training of these settings plays on a GPU here.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    players = settings.teacher if isinstance(settings, StudentParams) else settings
    return pick_device(players.accelerator).type == "cuda"


def unfitted(settings: TrainParams, features: Features) -> Trained:
    """Return the recommender of these settings, to be fitted on matrices of these features."""
    match settings:
        case CFGANParams():
            return CFGAN(settings)
        case FeatureGANParams():
            return FeatureGAN(settings, features.items, partial(_times, features))
        case RCGANParams():
            return RCGAN(settings)
        case IRGANParams():
            return IRGAN(settings)
        case StudentParams():
            return Student(settings)


def _times(features: Features, user_items: csr_array) -> NDArray[np.float32] | None:
    """Return when each entry of a matrix of the features was, where that is known."""
    dated = (
        (features.train, features.train_times),
        (features.train_validation, features.train_validation_times),
    )
    return next((times for matrix, times in dated if matrix is user_items), None)


def fit_and_choose(settings: TrainParams, features: Features, checkpoints: Path | None = None) -> Trained:
    """Fit on the train window and keep the epoch with the best validation NDCG, if there is a validation."""
    validation = features.validation
    exclude_seen = not features.summary["repeat_purchases"]

    def validate(recommender: Recommender) -> float:
        assert validation is not None
        return window_ndcg(recommender, validation, settings.metric_k, exclude_seen)

    return unfitted(settings, features).fit(
        features.train,
        validate=validate if validation is not None else None,
        checkpoint=checkpoints / "choose.ckpt" if checkpoints is not None else None,
        label="train",
    )


def fingerprint(settings: TrainParams, features: Features) -> str:
    """Name a training by all that decides its result: settings, features, code and torch's version."""
    code = closure.digest("recgan.recommenders.train")
    parts = [settings.model_dump_json(), str(features.summary["md5"]), torch.__version__, code]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def curves_csv(curves: Sequence[Row]) -> str:
    """Return the epochs' losses and scores as CSV; what nobody looked at in an epoch is blank."""
    columns = list(dict.fromkeys(name for row in curves for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("validation_ndcg" if name == "score" else name for name in columns)
    writer.writerows([_number(row.get(name)) for name in columns] for row in curves)
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.6g}"

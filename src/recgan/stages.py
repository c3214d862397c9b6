"""The stages, wired: each reads its settings and inputs, calls what computes, and writes its outputs.

This is the one layer between the files of a project and the functions of values below it. A stage's output is
put in place in one step when it ends well, so a stage that fails leaves what was there.
"""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json, replacing, unchanged, write_json, write_text
from recgan.core.memory import refuse
from recgan.settings import load_params

log = logging.getLogger(__name__)

# What a stage computes with is imported inside it: ingest needs no torch, train no Great Expectations.


def ingest(root: Path = Path()) -> None:
    """Write events, items and users of the source into data/ingested, a row for each raw row.

    Raises:
        RecganError: the source is missing or cannot be read; nothing is written then.
    """
    from recgan.data.events import describe, write_tables
    from recgan.data.sources.catalogue import read_source

    settings = load_params(root / layout.PARAMS).ingest
    tables = read_source(settings, root / settings.path)
    with replacing(root / layout.INGESTED) as folder:
        folder.mkdir()
        write_tables(tables, folder)
    log.info("%s: %s", settings.source, describe(tables))


def validate(root: Path = Path(), now: datetime | None = None) -> None:
    """Check the ingested tables, keep what may be kept, stop on critical failures.

    Reads data/ingested. Writes data/kept (events, items, users, quarantine), metrics/validation.json and
    reports/validation.html. On a critical failure the last two are written and data/kept stays as it was.

    Args:
        root: the project's folder.
        now: an aware instant; events after it are from the future. None is the present.

    Raises:
        RecganError: a critical expectation is broken, or an input is missing.
    """
    import pyarrow.parquet as pq

    from recgan.data.events import read_tables, write_tables
    from recgan.data.validate import check, complaint, page, summarise, tell

    settings = load_params(root / layout.PARAMS).validate_
    tables = read_tables(root / layout.INGESTED)
    result = check(tables, settings, now or datetime.now(UTC))
    summary = summarise(result)
    if not result.failures:
        with replacing(root / layout.KEPT) as folder:
            folder.mkdir()
            write_tables(result.kept, folder)
            pq.write_table(result.partition.quarantined, folder / "quarantine.parquet", compression="zstd")
    write_json(root / layout.VALIDATION_METRICS, summary)
    write_text(root / layout.VALIDATION_PAGE, page(result, summary))
    tell(result, summary, settings, tables)
    if result.failures:
        raise RecganError(complaint(result))
    log.info("all critical expectations hold: %s", layout.VALIDATION_PAGE)


def features(root: Path = Path()) -> None:
    """Turn data/kept into data/features and metrics/features.json.

    Raises:
        RecganError: the kept tables are missing, or the parameters leave a window or the vocabulary empty.
        Unavailable: another run replaced the kept tables meanwhile.
    """
    from recgan.features.build import features_of
    from recgan.features.matrices import write_features

    settings = load_params(root / layout.PARAMS).features
    with unchanged(root / layout.KEPT):
        built = features_of(root / layout.KEPT, settings)
    with replacing(root / layout.FEATURES) as folder:
        folder.mkdir()
        write_features(built, folder)
    write_json(root / layout.FEATURES_METRICS, built.summary)


def baselines(root: Path = Path()) -> None:
    """Tune each baseline on validation, refit it on train + validation, rank the test users.

    Writes data/baselines/rankings.npz (one array per baseline) and metrics/baselines.json.

    Raises:
        RecganError: the features are missing, or a baseline needs more memory than is free.
    """
    import numpy as np

    from recgan.features.matrices import read_features
    from recgan.recommenders.tune import tune_all

    settings = load_params(root / layout.PARAMS).baselines
    tuned = tune_all(settings, read_features(root / layout.FEATURES))
    with replacing(root / layout.BASELINES) as folder:
        folder.mkdir()
        rankings: dict[str, Any] = {name: one.ranking for name, one in tuned.items()}
        np.savez_compressed(folder / "rankings.npz", **rankings)
    write_json(root / layout.BASELINES_METRICS, {name: one.metrics() for name, one in tuned.items()})


def train(root: Path = Path()) -> None:
    """Train the recommender of params.yaml on data/features.

    Writes models/recommender, reports/curves.csv and metrics/train.json. A training that was stopped, killed
    or lost its machine goes on from checkpoints/ when the same training is asked for again.

    Raises:
        RecganError: the features are missing, nothing can choose an epoch, the recommender needs more memory
            than is free, or training diverged.
    """
    from recgan.adversarial.devices import writes
    from recgan.features.matrices import read_features
    from recgan.recommenders.train import check_validation, curves_csv, fingerprint, needs, train

    settings = load_params(root / layout.PARAMS).train
    features = read_features(root / layout.FEATURES)
    check_validation(settings, features)
    refuse(needs(settings, features))
    checkpoints = root / layout.CHECKPOINTS / fingerprint(settings, features)
    trained = train(settings, features, checkpoints)
    if not writes():  # one of several processes, whose weights are those of the first
        return
    with replacing(root / layout.RECOMMENDER) as folder:
        folder.mkdir()
        trained.recommender.save(folder)
    write_text(root / layout.CURVES, curves_csv(trained.chosen.curves))
    write_json(root / layout.TRAIN_METRICS, trained.metrics())
    shutil.rmtree(checkpoints, ignore_errors=True)


def evaluate(root: Path = Path()) -> None:
    """Rank the test users, measure every recommender, compare ours with each baseline, write the report.

    Users with nothing held out are left out, and counted in the summary. Writes metrics/evaluation.json,
    data/evaluation (per_user.parquet, rankings.npz, summary.json), reports/evaluation.md and
    reports/evaluation.html.

    Raises:
        RecganError: an input is missing or does not fit the features, or no user has anything held out.
    """
    import numpy as np

    from recgan.evaluation.evaluate import evaluate, flat_metrics, read_rankings
    from recgan.evaluation.page import page
    from recgan.evaluation.report import comparison_table, report
    from recgan.features.matrices import read_features
    from recgan.recommenders.loading import load_recommender

    settings = load_params(root / layout.PARAMS).evaluate
    features = read_features(root / layout.FEATURES)
    recommender = load_recommender(root / layout.RECOMMENDER)
    baselines = read_rankings(root / layout.BASELINES / "rankings.npz", features, max(settings.k))
    found = evaluate(settings, features, recommender, baselines)
    about = read_json(root / layout.RECOMMENDER / "recommender.json")
    summary = {"recommender": about["name"], **found.summary}
    with replacing(root / layout.EVALUATION) as folder:
        folder.mkdir()
        found.per_user.to_parquet(folder / "per_user.parquet", index=False)
        arrays: dict[str, Any] = found.rankings
        np.savez_compressed(folder / "rankings.npz", **arrays)
        write_json(folder / "summary.json", summary)
    write_json(root / layout.EVALUATION_METRICS, flat_metrics(summary))
    write_text(root / layout.EVALUATION_TEXT, report(summary))
    write_text(root / layout.EVALUATION_PAGE, page(root))
    log.info("\n%s", comparison_table(summary))

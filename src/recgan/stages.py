"""The stages, wired: each reads its settings and inputs, calls what computes, and writes its outputs.

This is the one layer between the files of a project and the functions of values below it. A stage's output is
put in place in one step when it ends well, so a stage that fails leaves what was there.
"""

import logging
import shutil
import warnings
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recgan.core import layout
from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import read_json, replacing, unchanged, write_json, write_text
from recgan.recommenders.skipped import skip
from recgan.settings import load_params

log = logging.getLogger(__name__)

# What a stage computes with is imported inside it: ingest needs no torch, train no Great Expectations.


def feedback(root: Path = Path()) -> None:
    """Keep what a flow or `recgan collect` has put into data/feedback; begin the folder where neither has."""
    from recgan.data.collected import keep_or_begin

    keep_or_begin(root)


def ingest(root: Path = Path()) -> None:
    """Write events, items and users of the source into data/ingested, a row for each raw row.

    Of a log in many files only those are read that the ingest before did not read alike. What came of answers
    is added where ingest.feedback asks for it.

    Raises:
        RecganError: the source is missing or cannot be read; nothing is written then.
    """
    from recgan.data.events import describe
    from recgan.data.forgotten import read_forgotten
    from recgan.data.sources.catalogue import write_source
    from recgan.data.sources.feedback import add_feedback
    from recgan.data.sources.left_out import leave_out

    settings = load_params(root / layout.PARAMS).ingest
    with replacing(root / layout.INGESTED) as folder:
        folder.mkdir()
        write_source(settings, root / settings.path, folder, root / layout.INGESTED)
        if settings.feedback is not None:
            add_feedback(settings.feedback, root / layout.FEEDBACK, folder)
        leave_out(read_forgotten(root / layout.FORGOTTEN), folder)
        told = describe(folder)
    log.info("%s: %s", settings.source, told)


def validate(root: Path = Path(), now: datetime | None = None) -> None:
    """Check the ingested tables, keep what may be kept, stop on critical failures.

    Reads data/ingested. Writes data/kept (events, items, users, quarantine), metrics/validation.json and
    reports/validation.html. On a critical failure the last two are written and data/kept stays as it was.

    Args:
        root: the project's folder.
        now: an aware instant; events after it are from the future. None is the present.

    Raises:
        RecganError: a critical expectation is broken, or an input is missing.
        Unavailable: another run replaced the ingested tables meanwhile.
    """
    warnings.filterwarnings("ignore", "PySpark does not yet", FutureWarning)  # Great Expectations imports it
    from recgan.data.validate import check, summarise
    from recgan.data.validation import complaint, page, tell

    settings = load_params(root / layout.PARAMS).validate_
    broken: RecganError | None = None
    try:
        with replacing(root / layout.KEPT) as folder, unchanged(root / layout.INGESTED):
            folder.mkdir()
            result = check(root / layout.INGESTED, folder, settings, now or datetime.now(UTC))
            if result.failures:
                broken = RecganError(complaint(result))
                raise broken  # so that what was kept before stays
    except RecganError as error:
        if error is not broken:
            raise
    summary = summarise(result)
    write_json(root / layout.VALIDATION_METRICS, summary)
    write_text(root / layout.VALIDATION_PAGE, page(result, summary))
    tell(result, summary, settings)
    if broken is not None:
        raise broken
    log.info("all critical expectations hold: %s", layout.VALIDATION_PAGE)


def screen(root: Path = Path()) -> None:
    """Find the accounts of data/kept that look fake; say why, and which are left out from here on.

    Writes data/screened (accounts, groups), metrics/screening.json and reports/screening.html. The rows of
    accounts that are left out stay in data/kept; whatever learns from it reads data/screened as well.

    Raises:
        RecganError: more accounts would be left out than the section screen allows, of which the page is
            written alone; or an input is missing.
        Unavailable: another run replaced the kept tables meanwhile.
    """
    from recgan.accounts.canaries import canaries
    from recgan.accounts.log import read_labels, read_log, read_taught
    from recgan.accounts.page import page
    from recgan.accounts.screen import screen, tell
    from recgan.accounts.tables import write_screened
    from recgan.data.events import ITEMS, read_table

    settings = load_params(root / layout.PARAMS).screen
    with unchanged(root / layout.KEPT):
        pairs = read_log(root / layout.KEPT)
        labels = read_labels(root / layout.KEPT, pairs)
        taught = read_taught(root / layout.KEPT)
        items = read_table(root / layout.KEPT / "items.parquet", ITEMS)
    screening = screen(pairs, labels, settings, taught)
    if screening.refused is not None:
        write_text(root / layout.SCREENING_PAGE, page(screening, pairs, items, settings))
        raise RecganError(screening.refused)
    summary = screening.summary | {"canaries": canaries(pairs, settings)}
    screening = replace(screening, summary=summary)
    with replacing(root / layout.SCREENED) as folder:
        folder.mkdir()
        write_screened(screening.tables, folder)
    write_json(root / layout.SCREENING_METRICS, summary)
    write_text(root / layout.SCREENING_PAGE, page(screening, pairs, items, settings))
    tell(screening, pairs, settings)


def features(root: Path = Path()) -> None:
    """Turn data/kept into data/features and metrics/features.json, without accounts that the screen left out.

    Raises:
        RecganError: the kept tables are missing, the parameters leave a window or the vocabulary empty, or
            the log is too short for evaluate.windows.
        Unavailable: another run replaced the kept tables meanwhile.
    """
    from recgan.data.events import period_of
    from recgan.data.screened import read_quarantined
    from recgan.features.build import features_of
    from recgan.features.matrices import write_features

    params = load_params(root / layout.PARAMS)
    settings = params.features
    with unchanged(root / layout.KEPT):
        params.evaluate.check_windows(settings.split, *period_of(root / layout.KEPT / "events.parquet"))
        left_out = read_quarantined(root / layout.SCREENED)
        built = features_of(root / layout.KEPT, left_out, settings)
    with replacing(root / layout.FEATURES) as folder:
        folder.mkdir()
        write_features(built, folder)
    write_json(root / layout.FEATURES_METRICS, built.summary)


def start(root: Path = Path()) -> None:
    """Keep what a flow has put into data/start for a training to begin from; note where there is nothing."""
    from recgan.recommenders.noted import keep_or_note

    keep_or_note(root / layout.START)


def train(name: str, root: Path = Path()) -> None:
    """Train or tune a candidate of params.yaml on data/features.

    Writes models/NAME, reports/curves/NAME.csv and metrics/candidates/NAME.json. A training that was stopped
    goes on from checkpoints/ when it is asked for again. One that fails leaves its reason in skipped.json.

    Args:
        name: of the candidate.
        root: the project's folder.

    Raises:
        RecganError: there is no such candidate, the features are missing, or the log is too short for
            evaluate.windows, which `replicate` would say only after the trainings.
        Unavailable: one of several processes that train together has died.
    """
    from recgan.adversarial.processes import are_to_be_started, is_first, joined, start
    from recgan.evaluation.settings import period_of
    from recgan.features.matrices import read_features
    from recgan.recommenders.embedded import trainer_of
    from recgan.recommenders.fit import FAULTS, fit, reason_of

    params = load_params(root / layout.PARAMS)
    candidates = params.candidates
    if name not in candidates:
        raise RecganError(f"no candidate {name!r} in {layout.PARAMS}; choose among {', '.join(candidates)}")
    section, trainer = candidates[name], trainer_of(candidates[name])
    features = read_features(root / layout.FEATURES)
    params.evaluate.check_windows(params.features.split, *period_of(features.summary))
    checkpoints, begins = root / layout.CHECKPOINTS, root / layout.START
    try:
        if are_to_be_started(trainer):
            with chdir(root):
                start(trainer, ["-m", "recgan", "train", name])
            return
        with joined(trainer):
            fitted, unfinished = fit(section, features, params.evaluate.primary_k, checkpoints, begins, name)
    except Unavailable:
        raise
    except FAULTS as fault:
        if not (trainer.alone or isinstance(fault, RecganError)):
            raise  # of several processes one alone: it says nothing of the candidate
        if is_first():
            skip(name, reason_of(fault), root)
        return
    if fitted is None:  # this is one of several processes, whose weights are those of the first
        return
    with replacing(root / layout.MODELS / name) as folder:
        folder.mkdir(parents=True)
        fitted.save(folder)
    write_text(root / layout.CANDIDATE_CURVES / f"{name}.csv", fitted.curves())
    write_json(root / layout.CANDIDATE_METRICS / f"{name}.json", fitted.metrics())
    if unfinished is not None:
        shutil.rmtree(unfinished, ignore_errors=True)


def replicate(root: Path = Path()) -> None:
    """Train the candidates on earlier test windows and with other seeds, as the section evaluate asks.

    Writes data/replications: each user's NDCG of every such training beyond the stage `train`, and what was
    asked for, perhaps nothing. What is there already and still asked for is not trained again.

    Raises:
        RecganError: the log is too short for so many windows, or an input is missing.
        Unavailable: another run replaced the kept tables meanwhile.
    """
    params = load_params(root / layout.PARAMS)
    if not params.evaluate.replicates:
        with replacing(root / layout.REPLICATIONS) as folder:
            folder.mkdir()
            write_json(folder / layout.REPLICATIONS_INDEX, [])
        log.info("evaluate asks for one window, one seed and no ablation: nothing is trained again")
        return
    from recgan.evaluation.replicate import replicate

    with unchanged(root / layout.KEPT):
        replicate(root, params.features, params.candidates, params.evaluate)


def evaluate(root: Path = Path()) -> None:
    """Take the best candidate on validation, rank the test users with all, compare, write the report.

    Users with nothing held out are left out, and counted in the summary. Writes metrics/headline.json,
    metrics/evaluation.json, data/evaluation (per_user.parquet, rankings.npz, summary.json, lists.json),
    reports/curves.csv (the challenger's), reports/evaluation.md and reports/evaluation.html. Removes
    reports/verdict.html, which the gate's run writes.

    Raises:
        RecganError: an input is missing or does not fit the features, every candidate was skipped, or no
            user has anything held out.
    """
    import numpy as np

    from recgan.evaluation.beyond import beyond
    from recgan.evaluation.candidates import read_candidates
    from recgan.evaluation.evaluate import evaluate, flat_metrics
    from recgan.evaluation.headline import headline
    from recgan.evaluation.page import page
    from recgan.evaluation.report import comparison_table, report
    from recgan.features.matrices import read_features
    from recgan.recommenders.loading import load_recommender
    from recgan.recommenders.settings import seed_of

    params = load_params(root / layout.PARAMS)
    features = read_features(root / layout.FEATURES)
    kinds = {name: section.recommender for name, section in params.candidates.items()}
    candidates = read_candidates(root, kinds)
    found = evaluate(
        params.evaluate, features, candidates, lambda name: load_recommender(root / layout.MODELS / name)
    )
    seeds = {name: seed_of(section) for name, section in params.candidates.items()}
    summary = found.summary | beyond(root, found.rankings, features, kinds, seeds, params.evaluate)
    with replacing(root / layout.EVALUATION) as folder:
        folder.mkdir()
        found.per_user.to_parquet(folder / "per_user.parquet", index=False)
        arrays: dict[str, Any] = found.rankings
        np.savez_compressed(folder / "rankings.npz", **arrays)
        write_json(folder / "summary.json", summary)
        write_json(folder / "lists.json", found.lists)
    (root / layout.VERDICT_PAGE).unlink(missing_ok=True)  # it is of an earlier evaluation
    curves = root / layout.CANDIDATE_CURVES / f"{summary['challenger']}.csv"
    write_text(root / layout.CURVES, curves.read_text(encoding="utf-8"))
    quality = root / layout.VALIDATION_METRICS
    write_json(root / layout.HEADLINE, headline(summary, read_json(quality) if quality.exists() else None))
    write_json(root / layout.EVALUATION_METRICS, flat_metrics(summary))
    write_text(root / layout.EVALUATION_TEXT, report(summary))
    write_text(root / layout.EVALUATION_PAGE, page(root))
    log.info("\n%s", comparison_table(summary))

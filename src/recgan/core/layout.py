"""Where everything of a project lies, from its root: each path is spelt here and nowhere else."""

from pathlib import Path

PARAMS = Path("params.yaml")
SEARCH = Path("search.yaml")
STAGES = Path("dvc.yaml")
FORGOTTEN = Path("forgotten.json")
"""Hashes of the people whom ingest leaves out."""
LOCK = Path("dvc.lock")

FEEDBACK = Path("data/feedback")
"""What came of answers, for the next ingest."""
INGESTED = Path("data/ingested")
KEPT = Path("data/kept")
SCREENED = Path("data/screened")
"""Which accounts of the kept events look fake, why, and which are left out."""
FEATURES = Path("data/features")
START = Path("data/start")
"""What the champion left, for a training to begin from."""
BEGIN = "begin.json"
"""In that folder and in the next one: what the weights beside it are, or why there are none."""
WARM = "warm_start"
"""In the folder of a candidate that asks for it, and in its run: what the next night may begin from."""
REPLICATIONS = Path("data/replications")
"""Each user's NDCG of a training on another window or with another seed."""
REPLICATIONS_INDEX = "replications.json"
EVALUATION = Path("data/evaluation")
MODELS = Path("models")
"""A folder for each candidate."""
SKIPPED = "skipped.json"
"""In the folder of a candidate that failed: why."""
ABLATIONS = "ablations"
"""In the folder of a candidate in two stages: what is for comparison alone. No package holds it."""
CHECKPOINTS = Path("checkpoints")
"""A folder for each unfinished training."""

METRICS = Path("metrics")
VALIDATION_METRICS = METRICS / "validation.json"
SCREENING_METRICS = METRICS / "screening.json"
FEATURES_METRICS = METRICS / "features.json"
CANDIDATE_METRICS = METRICS / "candidates"
"""A file for each candidate."""
EVALUATION_METRICS = METRICS / "evaluation.json"
HEADLINE = METRICS / "headline.json"
"""The dozen figures that DVC compares; the files beside it are data."""

REPORTS = Path("reports")
VALIDATION_PAGE = REPORTS / "validation.html"
SCREENING_PAGE = REPORTS / "screening.html"
CURVES = REPORTS / "curves.csv"
"""The challenger's."""
CANDIDATE_CURVES = REPORTS / "curves"
"""A file for each candidate."""
EVALUATION_TEXT = REPORTS / "evaluation.md"
EVALUATION_PAGE = REPORTS / "evaluation.html"
VERDICT_PAGE = REPORTS / "verdict.html"
"""The evaluation's page with the gate's decision; no output of a stage."""
VERDICT = Path(".recgan/verdict.json")
"""What that page was drawn of, for drawing it anew."""
MONITOR_REPORT = REPORTS / "monitor.json"
MONITOR_TEXT = REPORTS / "monitor.md"
OFF_POLICY_REPORT = REPORTS / "off_policy.json"
OFF_POLICY_TEXT = REPORTS / "off_policy.md"
EXPERIMENT_REPORT = REPORTS / "experiment.json"
"""The last look at an experiment on shoppers: both arms, the decision and its reasons."""

RECOMMENDATIONS = Path("recommendations")
"""A Parquet file for each registered model."""
BEHAVIOUR = RECOMMENDATIONS / "behaviour.parquet"
"""What each shopper is likely to do in the next days."""
BEHAVIOUR_METRICS = METRICS / "behaviour.json"
IMPRESSIONS = Path("impressions")
"""A folder for each registered model: what its server answered, and what came of it."""
RULES = Path("rules")
"""A file for each registered model: what the shop wants of its answers."""
TUNING = Path("tuning")
"""A file of trials for each recommender that was searched."""
TUNING_REPORTS = REPORTS / "tuning"
STATE = Path(".recgan")
"""What the project's own servers and runs keep."""
STAGES_LOCK = STATE / "stages.lock"
"""Held by whoever changes what stages read, for as long as they may run."""

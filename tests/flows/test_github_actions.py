"""The workflow retrain.yml, each step run as GitHub's machines would, with S3 as the DVC remote."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from flows.stages import stage_order
from tests.conftest import ROOT
from tests.flows.github import Job, Runner, lend_environment
from tests.flows.shop import EASE, change, commit, copy_of, git

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKFLOW = ".github/workflows/retrain.yml"
BUCKET = "recgan"
ADDRESS = f"s3://{BUCKET}/dvc"
PUSHED = ("feedback", "ingest", "validate", "screen", "features", "start", "train@ease")
"""Stages of which S3 has what they made; the others are computed anew."""


@pytest.fixture(scope="module")
def s3():
    """Address and credentials of an S3 that holds an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    server.start()
    host, port = server.get_host_and_port()
    access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket=BUCKET)
    yield access | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    server.stop()


@pytest.fixture(scope="module")
def repository(finished, s3, tmp_path_factory):
    """A bare repository of a project with a night behind it, most of which S3 has, and a change after it."""
    folder = tmp_path_factory.mktemp("team")
    work = copy_of(finished, folder / "work")
    git(work, "branch", "-M", "main")
    change(work / "params.yaml", {"candidates": {"ease": EASE}})
    for command in (["remote", "add", "--local", "--default", "storage", ADDRESS], ["push", "-q", *PUSHED]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=work, env=os.environ | s3, check=True)
    commit(work, "Fewer candidates")
    bare = folder / "shop.git"
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    return bare


@pytest.fixture(scope="module")
def runner(repository, s3, prefect_database, tmp_path_factory):
    home = tmp_path_factory.mktemp("github")
    prefect = home / "prefect"  # each run would make Prefect's tables anew
    prefect.mkdir()
    shutil.copy(prefect_database, prefect)
    return Runner(
        home,
        repository,
        WORKFLOW,
        secrets={name: s3[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        variables={"DVC_REMOTE": ADDRESS, "AWS_ENDPOINT_URL": s3["AWS_ENDPOINT_URL"]},
        environment={"PREFECT_HOME": str(prefect)},
    )


def test_the_first_night_promotes_pushes_and_proposes(runner, repository, s3):
    before = git(repository, "rev-parse", "main")
    jobs = runner.run()
    retrain, propose = jobs["retrain"], jobs["propose"]
    assert retrain.succeeded, retrain.log
    assert propose.succeeded, propose.log
    assert "| ease (challenger)" in retrain.summary
    assert "recgan version 1 is the new champion" in retrain.summary
    assert "✓ A trial prediction" in retrain.summary

    assert git(repository, "rev-parse", "main") == before
    proposed = git(repository, "diff", "--name-only", "main", "retrain/main").splitlines()
    assert proposed == ["dvc.lock", "metrics/evaluation.json", "metrics/headline.json"]
    setup, listed, created = propose.asked_of_gh
    assert setup == "auth setup-git"
    assert listed.startswith("pr list --base main --head retrain/main")
    assert created.startswith("pr create --base main --head retrain/main --title Retrain main --body-file ")
    assert Path(created.rpartition(" ")[2]).read_text() == retrain.summary


def merge(repository: Path) -> None:
    """Take what the first night proposes."""
    git(repository, "update-ref", "refs/heads/main", "retrain/main")


def test_a_fresh_clone_has_only_s3_and_measures_the_champion_without_training(repository, s3, tmp_path):
    merge(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--branch", "main", str(repository), str(clone))
    lend_environment(clone)
    environment = {"PATH": f"{clone / '.venv/bin'}:/usr/bin:/bin", "HOME": str(tmp_path), **s3}
    environment["PYTHONPATH"] = str(clone / "src")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("make", "remote", f"URL={ADDRESS}")
    run("dvc", "pull", "--allow-missing")  # no images were made
    for path in ("data/kept", "data/features", "models/ease", "reports/evaluation.md"):
        assert (clone / path).exists()
    said = run("dvc", "repro")
    assert said.count("didn't change, skipping") == len(stage_order(clone))
    assert "Running stage" not in said

    measured = clone / "metrics/evaluation.json"
    champions = json.loads(measured.read_text())
    measured.unlink()
    run("python", "-m", "recgan", "evaluate")
    assert json.loads(measured.read_text()) == champions
    assert git(clone, "status", "--porcelain") == ""


def test_a_night_after_the_merge_runs_what_changed_alone_and_proposes_what_it_led_to(runner, repository):
    merge(repository)
    work, events = runner.home / "work", runner.home / "events.csv"
    git(runner.home, "clone", "-q", "--branch", "main", str(repository), str(work))
    shutil.copy(work / "params.yaml", work / "examples" / "other.yaml")
    change(work / "examples" / "other.yaml", {"evaluate.k": [3, 10, 20]})
    events.write_text("old")
    importing = [sys.executable, "-m", "dvc", "import-url", "-q", str(events), "raw/events.csv"]
    subprocess.run(importing, cwd=work, check=True)
    commit(work, "Another example, imported events")
    git(work, "push", "-q", "origin", "main")
    events.write_text("new")

    runner.open_pull_request = "7\n"
    jobs = runner.run("workflow_dispatch", {"params": "other", "propose": True})
    assert jobs["retrain"].succeeded, jobs["retrain"].log
    assert "ndcg@3" in jobs["retrain"].summary
    assert "version 1 is the champion already" in jobs["retrain"].summary  # the registry came back
    assert set(re.findall(r"Running stage '(.+)'", jobs["retrain"].log)) == {
        "ingest",  # there is a new file in raw; what comes of it is the same
        "replicate",
        "evaluate",
    }
    assert jobs["propose"].succeeded, jobs["propose"].log
    assert jobs["propose"].asked_of_gh[-1].startswith("pr edit 7 --title Retrain main --body-file ")
    proposed = git(repository, "diff", "--name-only", "main", "retrain/main").splitlines()
    assert proposed == ["dvc.lock", "metrics/evaluation.json", "params.yaml", "raw/events.csv.dvc"]


@pytest.mark.parametrize(
    ("made", "changed"),
    [("raw/events.csv", {}), ("models/ease/weights.npy", {}), ("metrics/new.json", {"changed": "true"})],
)
def test_a_night_that_changes_nothing_that_is_committed_has_no_change(repository, tmp_path, made, changed):
    runner = Runner(tmp_path, repository, WORKFLOW)
    runner.run_folder = tmp_path
    job = Job(runner, "retrain", yaml.safe_load((ROOT / WORKFLOW).read_text())["jobs"]["retrain"], "bash")
    git(tmp_path, "clone", "-q", "--branch", "main", str(repository), str(job.workspace))
    for path in ("dvc.lock", "metrics/old.json"):
        write(job.workspace / path)
    commit(job.workspace, "The night before")
    (job.temp / "proposal").mkdir()
    write(job.workspace / made)
    [step] = [step for step in job.content["steps"] if step.get("id") == "changes"]
    job.run_script(step)
    assert job.succeeded, job.log
    assert job.contexts["steps"]["changes"]["outputs"] == changed


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made tonight")


@pytest.mark.parametrize(
    ("event", "inputs", "changed", "proposes"),
    [
        ("schedule", {}, "true", True),
        ("schedule", {}, "", False),
        ("workflow_dispatch", {"propose": True}, "true", True),
        ("workflow_dispatch", {"propose": False}, "true", False),
    ],
)
def test_what_changed_is_proposed_unless_somebody_does_not_want_it(
    event, inputs, changed, proposes, tmp_path
):
    job = yaml.safe_load((ROOT / WORKFLOW).read_text())["jobs"]["propose"]
    contexts = {
        "github": {"event_name": event, "ref_type": "branch"},
        "inputs": inputs,
        "needs": {"retrain": {"outputs": {"changed": changed}}},
    }
    assert Runner(tmp_path, tmp_path, WORKFLOW, contexts=contexts).holds(job["if"]) is proposes


def test_only_the_job_that_proposes_may_write_and_no_secret_reaches_a_script_as_text():
    workflow = yaml.safe_load((ROOT / WORKFLOW).read_text())
    assert workflow["permissions"] == {}
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights == {
        "retrain": {"contents": "read"},
        "propose": {"contents": "write", "pull-requests": "write"},
    }
    assert workflow["concurrency"] == {"group": "retrain", "cancel-in-progress": False}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert not any("${{" in step.get("run", "") for step in steps)
    assert "secrets" not in str(workflow["jobs"]["propose"])


def test_what_cannot_run_fails_and_says_why_and_no_input_is_run_as_a_command(repository, tmp_path):
    runner = Runner(tmp_path, repository, WORKFLOW)
    jobs = runner.run("workflow_dispatch", {"params": "x; touch harm $(touch harm)", "propose": True})
    assert not jobs["retrain"].succeeded
    assert list(jobs) == ["retrain"]
    assert "Nothing came of it" in jobs["retrain"].summary
    assert "no example" in jobs["retrain"].summary
    assert not list(runner.home.rglob("harm"))


def test_with_a_prefect_server_it_is_asked_and_nothing_runs_here(repository, prefect_server, tmp_path):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
    from prefect.settings import get_current_settings

    from flows.retrain import retrain

    deployment = retrain.to_deployment("nightly").apply()
    url = get_current_settings().api.url
    jobs = Runner(tmp_path, repository, WORKFLOW, secrets={"PREFECT_API_URL": url}).run()
    assert jobs["retrain"].succeeded, jobs["retrain"].log
    assert list(jobs) == ["retrain"]
    assert not {"Retrain", "Pull the data"} & set(jobs["retrain"].steps_run)
    with get_client(sync_client=True) as client:
        asked = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        (run,) = client.read_flow_runs(deployment_filter=asked)
        client.delete_deployment(deployment)  # other tests share the server
    assert run.name in jobs["retrain"].summary
    assert run.state_name == "Scheduled"

"""Containers, as far as they can be tested without any: pools as a worker reads them, the compose file."""

import asyncio
import json
import re
from unittest.mock import Mock, patch

import jsonschema
import pytest
import yaml
from prefect.workers.base import BaseJobConfiguration
from typer.testing import CliRunner

from recgan.__main__ import app
from recgan.data.impressions import DATABASE
from tests.conftest import ROOT

POOLS = ["docker", "kubernetes"]
NIGHTLY = {"PYTHONPATH": "/project:/project/src"}


def pool(kind):
    return json.loads((ROOT / "ops" / f"{kind}-pool.json").read_text())


def filled(kind, **values):
    """Every value of a job, filled in as a worker does."""

    class Everything(BaseJobConfiguration, extra="allow"):
        pass

    values = {"env": NIGHTLY, **values}
    found = asyncio.run(Everything.from_template_and_values(pool(kind), values, client=Mock()))
    return found.model_dump()


@pytest.mark.parametrize("kind", POOLS)
def test_the_defaults_of_a_pool_fit_its_form(kind):
    form = pool(kind)["variables"]
    jsonschema.Draft7Validator.check_schema(form)
    properties = form["properties"]
    defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
    jsonschema.validate(defaults, form)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"image": 3}, form)


@pytest.mark.parametrize("kind", POOLS)
def test_every_field_of_the_form_is_used_and_every_gap_has_a_field(kind):
    gaps = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(pool(kind)["job_configuration"])))
    fields = set(pool(kind)["variables"]["properties"])
    assert gaps == fields


@pytest.mark.parametrize("kind", POOLS)
def test_a_deployment_adds_to_the_environment_of_the_pool(kind):
    env = filled(kind)["env"]
    assert env["PYTHONPATH"] == NIGHTLY["PYTHONPATH"]
    assert env["RECGAN_ROOT"] == "/project"
    assert env["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_a_docker_job_is_bounded_and_has_no_privileges():
    job = filled("docker", mem_limit="2g")
    assert (job["mem_limit"], job["memswap_limit"]) == ("2g", "8g")
    assert job["volumes"] == ["recgan-project:/project"]
    assert job["image"] == "recgan:latest"
    assert job["container_create_kwargs"]["cap_drop"] == ["ALL"]
    assert not job.get("privileged")


def test_a_kubernetes_job_runs_once_and_takes_its_secrets_from_a_secret():
    job = filled("kubernetes", secret="shop", project_claim="shop-files")["job_manifest"]
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 86400)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # Prefect retries what may be tried again
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "shop", "optional": True}}]
    assert container["resources"] == {
        "limits": {"memory": "8Gi"},
        "requests": {"cpu": "1", "memory": "4Gi"},
    }
    (mount,) = container["volumeMounts"]
    (volume,) = pod["volumes"]
    assert volume["name"] == mount["name"]
    assert volume["persistentVolumeClaim"] == {"claimName": "shop-files"}


def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_ports_are_published_on_loopback_alone():
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in compose()["services"]["postgres"]


def test_a_password_comes_from_the_environment_or_nothing_starts():
    services = json.dumps(compose()["services"])
    passwords = re.findall(r"PASSWORD[^\"]*\": \"([^\"]*)\"", services)
    passwords += re.findall(r"//recgan:(.*?)@", services)
    assert len(passwords) == 5  # two services share the project's environment
    assert all(re.fullmatch(r"\$\{RECGAN_POSTGRES_PASSWORD:\?[^}]*\}", password) for password in passwords)
    on_command_lines = [str(service.get("command")) for service in compose()["services"].values()]
    assert not any("PASSWORD" in line for line in on_command_lines)


def test_services_wait_for_what_they_need_and_name_what_there_is():
    services, volumes = compose()["services"], compose()["volumes"]
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed]
        named = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert all(name in volumes or name == "." for name in named)
    worker = services["worker"]["environment"]
    assert worker["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "mlflow:*" in str(services["mlflow"]["command"])  # --allowed-hosts


def test_every_night_reads_the_database_that_servers_log_to():
    """Where it is named, in containers and on GitHub alike; empty names none."""
    services = compose()["services"]
    reading = [name for name, one in services.items() if DATABASE in (one.get("environment") or {})]
    assert reading == ["deploy", "worker", "serve"]
    assert all(services[name]["environment"][DATABASE] is None for name in reading)  # as .env has it
    workflow = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    (retrain,) = [step for step in steps if step.get("name") == "Retrain"]
    assert retrain["env"][DATABASE] == f"${{{{ secrets.{DATABASE} }}}}"


def test_what_serves_gets_no_secret_but_its_own_and_changes_nothing():
    services = compose()["services"]
    serve = services["serve"]
    own = {
        "MLFLOW_TRACKING_URI",
        "RECGAN_HOST",
        "PYTHONPATH",
        "RECGAN_SERVE_TOKEN",
        "RECGAN_SERVE_READ_TOKEN",
        "RECGAN_SERVE_IMPRESSIONS_URL",
    }
    assert set(serve["environment"]) == own
    assert services["worker"]["environment"].keys() >= {"RECGAN_SERVE_IMPRESSIONS_URL"}  # reads what it logs
    assert serve["read_only"]
    assert serve["volumes"] == [".:/project:ro"]
    assert serve["ports"] == ["127.0.0.1:${RECGAN_SERVE_PORT:-8000}:8000"]
    assert "127.0.0.1:8000/ready" in str(serve["healthcheck"]["test"])
    module, recgan, *options = serve["command"][1:]
    assert (module, recgan) == ("-m", "recgan")
    defaults = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", option) for option in options]
    with patch("recgan.serving.server.serve") as started:
        environment = {"RECGAN_HOST": serve["environment"]["RECGAN_HOST"]}
        assert CliRunner().invoke(app, defaults, env=environment).exit_code == 0
    assert started.call_args.args[:6] == ("recgan", 8000, 1, 5.0, "none", False)  # no explorer, no log


def test_the_image_has_no_secret_and_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER recgan"]
    assert not [line for line in lines if re.search(r"PASSWORD|SECRET|TOKEN|KEY", line)]
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert copied == allowed


def test_every_foreign_image_is_pinned_by_its_digest():
    services = compose()["services"].values()
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    images = [service["image"] for service in services if "build" not in service]
    images += [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(images) >= 2
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image) for image in images), images

"""A package knows the sha256 of its files: one flipped bit is found wherever it is loaded."""

import shutil
from pathlib import Path

import mlflow
import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.package.asking import QUESTIONS, ask
from recgan.package.store import Recommenders, load_version
from recgan.registry.asking import fetched
from recgan.registry.enrol import enrol
from recgan.registry.manifest import (
    MANIFEST,
    DamagedPackageError,
    check_artifacts,
    check_package,
    write_manifest,
)
from recgan.registry.promotion import judge, promote
from recgan.registry.rollback import check_answers
from recgan.registry.tracking import connect
from tests.package.conftest import TASTES, make_project, named_so
from tests.registry.stub import Numbers

pytestmark = pytest.mark.usefixtures("forked_packages")

ASKED = pa.record_batch([[["item-1"]], [[1.0]], [None]], QUESTIONS)


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.fixture
def package(tmp_path):
    """A folder as MLflow lays a package out: artifacts and code."""
    for name in ("recommender/weights.bin", "items.json"):
        path = tmp_path / "model" / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    code = tmp_path / "model" / "code" / "recgan"
    (code / "__pycache__").mkdir(parents=True)
    (code / "gan.py").write_text("loss = 1\n")
    (code / "__pycache__" / "gan.pyc").write_bytes(b"of this machine")
    artifacts = tmp_path / "model" / "artifacts"
    write_manifest(artifacts / MANIFEST, [artifacts / "recommender", artifacts / "items.json"], code)
    return tmp_path / "model"


def test_a_package_as_it_was_made_passes(package):
    check_package(package)
    sums = read_json(package / "artifacts" / MANIFEST)
    assert {part: sorted(files) for part, files in sums.items()} == {
        "artifacts": ["items.json", "recommender/weights.bin"],
        "code": ["recgan/gan.py"],
    }
    # by sha256sum of coreutils
    assert (
        sums["artifacts"]["items.json"] == "d907dcbebfe7d89f411d1b1883be64009f83d87ab7bdd634fe6b91818b658f7e"
    )


@pytest.mark.parametrize(
    "name", ["artifacts/recommender/weights.bin", "artifacts/items.json", "code/recgan/gan.py"]
)
def test_a_flipped_bit_and_a_missing_file_are_named_with_the_remedy(package, name):
    flip_a_bit(package / name)
    with pytest.raises(
        DamagedPackageError, match=f"{name} has the sha256 [0-9a-f]{{64}}, and [0-9a-f]{{64}} was"
    ):
        check_package(package)
    (package / name).unlink()
    with pytest.raises(DamagedPackageError, match=f"{name} is missing; put that file back"):
        check_package(package)


def test_code_is_not_looked_for_where_artifacts_alone_are_loaded(package):
    shutil.rmtree(package / "code")
    check_artifacts(package / "artifacts")
    with pytest.raises(DamagedPackageError, match=r"code/recgan/gan\.py is missing"):
        check_package(package)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"artifacts": 3, "code": {}}'])
def test_a_damaged_manifest_is_said(package, content):
    (package / "artifacts" / MANIFEST).write_text(content)
    with pytest.raises(DamagedPackageError, match=r"manifest\.json cannot be read"):
        check_package(package)


def test_a_package_from_before_has_no_manifest_and_passes(package):
    (package / "artifacts" / MANIFEST).unlink()
    flip_a_bit(package / "artifacts" / "items.json")
    check_package(package)


def test_damaged_weights_are_refused_wherever_they_are_loaded_and_judged_anew_when_mended(
    store_env, params, tmp_path, monkeypatch
):
    name = "damaged"
    named = named_so(params, name)
    shop = Recommenders(make_project(tmp_path / "project", named, good_tastes=TASTES), named)
    version = enrol(shop).version
    uri = f"models:/{name}/{version}"
    location = mlflow.get_logged_model(mlflow.models.get_model_info(uri).model_id).artifact_location
    model = Path(location.removeprefix("file://"))
    sums = read_json(model / "artifacts" / MANIFEST)
    for part, files in sums.items():
        held = {
            file.relative_to(model / part).as_posix() for file in (model / part).rglob("*") if file.is_file()
        }
        assert held - {MANIFEST} == set(files)
    assert {"recommender/weights.safetensors", "items.json", "shoppers.npz"} <= set(sums["artifacts"])

    weights = model / "artifacts" / "recommender" / "weights.safetensors"
    whole = weights.read_bytes()
    flip_a_bit(weights)
    says = "artifacts/recommender/weights.safetensors has the sha256"
    with pytest.raises(DamagedPackageError, match=says):
        ask(uri, ASKED, 5, True)
    with pytest.raises(DamagedPackageError, match=says):
        load_version(name, version)  # what a server does
    with pytest.raises(RecganError, match=says):
        check_answers(shop, version, None)
    judgement = judge(shop, version)
    assert not judgement.decision.promote
    assert says in judgement.decision.failures[0]
    assert not promote(shop, version, judgement).promoted

    weights.write_bytes(whole)
    again = judge(shop, version)
    assert again.evidence is not None
    assert promote(shop, version, again).promoted

    # Bytes that were lost on the way are fetched again.
    fetch, fetches = mlflow.artifacts.download_artifacts, []

    def lossy(*arguments, **more):
        found = fetch(*arguments, **more)
        if not fetches:
            flip_a_bit(Path(found) / "artifacts" / "items.json")
        fetches.append(found)
        return found

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lossy)
    with fetched(uri) as found:
        check_package(found)
    assert len(fetches) == 2


def test_a_damaged_champion_is_no_reason_to_refuse_anybody_else(store_env, tmp_path, monkeypatch):
    client, numbers = connect(), Numbers("damaged-champion", tmp_path)
    run = client.create_run(client.create_experiment(numbers.name))
    client.create_registered_model(numbers.name)
    for _ in range(2):
        client.create_model_version(numbers.name, "file:///nowhere", run.info.run_id)
    client.set_registered_model_alias(numbers.name, "champion", "1")

    def damaged(version):
        def look(*_):
            fault = DamagedPackageError("artifacts/items.json is missing")
            fault.model_uri = f"models:/{numbers.name}/{version}"
            raise fault

        return look

    monkeypatch.setattr(numbers, "look", damaged("1"))
    with pytest.raises(RecganError, match=r"the champion \(version 1 of .*\) cannot answer: artifacts/items"):
        judge(numbers, "2")
    monkeypatch.setattr(numbers, "look", damaged("2"))
    refused = judge(numbers, "2")
    assert refused.decision.failures == ("Version 2: artifacts/items.json is missing.",)
    assert refused.key is None  # so it is judged anew when its files are whole again

"""What an approximate index loses is measured before it ranks the lists."""

from contextlib import contextmanager
from types import SimpleNamespace

import pyarrow as pa
import pytest

from recgan.core.errors import RecganError
from recgan.core.files import write_json
from recgan.daily import index
from recgan.daily.index import check_index, lost, measured
from recgan.package.asking import ANSWERS, QUESTIONS


def test_the_loss_is_the_mean_share_of_the_best_that_is_missed():
    exact = [{"a", "b", "c", "d"}, {"a", "b"}, set()]
    assert lost(exact, [{"a", "b", "c", "x"}, {"b", "a"}, set()]) == 0.125
    assert lost(exact, exact) == 0


@contextmanager
def asking(model, k, exclude_seen, threads, approximate):
    """Of every tenth shopper the index misses one item of two."""

    def answer(asked):
        lists = [
            ["a", "x" if approximate and row["history"] == ["every tenth"] else "b"]
            for row in asked.to_pylist()
        ]
        return pa.record_batch([lists, [[1.0, 0.5]] * len(lists)], schema=ANSWERS)

    yield answer


@pytest.mark.parametrize(("most", "used"), [(0.06, True), (0.04, False)])
def test_above_the_allowed_loss_all_are_ranked_exactly(monkeypatch, caplog, tmp_path, most, used):
    monkeypatch.setattr(index, "asking", asking)
    rows = [["every tenth"] if row % 10 == 0 else ["else"] for row in range(200)]
    asked = pa.record_batch([rows, [[1.0]] * 200, [None] * 200], schema=QUESTIONS)
    found = measured(tmp_path, asked, 2, True, most)
    assert found == {"loss": pytest.approx(0.05), "shoppers": 200, "used": used}
    assert ("all are ranked exactly" in caplog.text) != used


def test_a_package_that_can_have_no_index_is_refused(tmp_path, monkeypatch):
    description = tmp_path / "artifacts/recommender/recommender.json"
    description.parent.mkdir(parents=True)
    write_json(description, {"name": "ease"})
    with pytest.raises(RecganError, match="ease has no vectors of items to make one of"):
        check_index(tmp_path)
    write_json(description, {"name": "ials"})
    names = ["k", "exclude_seen"]
    signature = SimpleNamespace(params=[SimpleNamespace(name=name) for name in names])
    monkeypatch.setattr(index.mlflow.models.Model, "load", lambda path: SimpleNamespace(signature=signature))
    with pytest.raises(RecganError, match="packaged before there were any; register a training of today"):
        check_index(tmp_path)
    signature.params.append(SimpleNamespace(name="approximate"))
    monkeypatch.setattr(index, "faiss_is_there", lambda: True)
    check_index(tmp_path)
    monkeypatch.setattr(index, "faiss_is_there", lambda: False)
    with pytest.raises(RecganError, match="faiss is not installed"):
        check_index(tmp_path)

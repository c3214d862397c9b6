"""The published recommendations are what the champion's package answers, for every shopper."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError, Unavailable
from recgan.core.layout import KEPT, SCREENED
from recgan.daily import parts, recommendations
from recgan.daily.foretold import md5_of_events, write_foretold
from recgan.daily.recommendations import live_now, recommend, sentence
from recgan.features.matrices import read_features, write_features
from recgan.features.newest import newest_histories
from recgan.package.asking import QUESTIONS, asking, questions
from recgan.package.store import Recommenders, load_champion
from recgan.registry import asking as process
from recgan.registry.asking import NoAnswerError
from recgan.registry.enrol import enrol
from recgan.registry.rollback import rollback
from recgan.registry.tracking import connect
from tests.package.conftest import ITEMS, TASTES, USERS, dated_features, make_project
from tests.registry.stub import Numbers

pytestmark = pytest.mark.usefixtures("forked_packages")


@pytest.fixture
def client(store_env):
    return connect()


@pytest.fixture
def named(params, request):
    return params.model_copy(
        update={"register_": params.register_.model_copy(update={"name": request.node.name})}
    )


@pytest.fixture
def shop(client, named, tmp_path):
    """A project whose first version is the champion."""
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    registered = enrol(Recommenders(root, named))
    client.set_registered_model_alias(named.register_.name, "champion", registered.version)
    return root


def test_every_shopper_gets_what_the_package_answers(shop, named):
    published = recommend(shop, named, k=4, exclude_seen=False, part_shoppers=40)
    assert not published.unchanged
    file = pq.ParquetFile(published.path)
    assert file.num_row_groups == 4  # of 150 shoppers
    found = file.read().to_pandas()
    newest = newest_histories(read_features(shop / "data" / "features"))
    user_ids = newest.user_ids
    assert len(user_ids) == USERS == published.about["shoppers"]
    packaged = load_champion(shop, named.register_.name).packaged
    item_ids = [f"item-{item}" for item in range(ITEMS)]
    asked = questions(newest.user_items, pa.array(item_ids)).to_pydict()
    expected = packaged.recommend(asked["history"], 4, False, asked["confidence"])
    assert found["user_id"].tolist() == np.repeat(user_ids, 4).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4] * USERS
    assert found["item_id"].tolist() == [item for answer in expected for item in answer.item_ids]
    np.testing.assert_allclose(
        found["score"], [value for answer in expected for value in answer.scores], 1e-6
    )
    assert set(found["version"]) == {"1"}
    assert {"name": named.register_.name, "version": "1", "k": 4, "exclude_seen": False}.items() <= (
        published.about.items()
    )
    assert "now holds the 4 best items for 150 shoppers, with those seen" in sentence(published)


@contextmanager
def fetched(model_uri, within):
    """A package of 48 items whose answers tell its version, without a process."""
    yield Path(model_uri)


@contextmanager
def answering(model, k, exclude_seen, *how):
    version = model.name

    def answer(asked):
        lengths = [len(history) for history in asked["history"]]
        lists = [[f"{version}-{length}-{place}" for place in range(k)] for length in lengths]
        return pa.record_batch(
            [
                pa.array(lists, QUESTIONS.field("history").type),
                pa.array([[0.5] * k] * len(lists), pa.list_(pa.float64())),
            ],
            ["item_ids", "scores"],
        )

    yield answer


@pytest.fixture
def without_a_process(monkeypatch):
    monkeypatch.setattr(recommendations, "fetched", fetched)
    monkeypatch.setattr(parts, "asking", answering)
    monkeypatch.setattr(parts, "catalogue_size", lambda model: ITEMS)


@pytest.fixture
def versions(client, named, tmp_path):
    """A project with two versions without packages, the second of them champion."""
    name = named.register_.name
    run = client.create_run(client.create_experiment(name))
    client.create_registered_model(name)
    for _ in range(2):
        client.create_model_version(name, "file:///nowhere", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "2")
    client.set_registered_model_alias(name, "previous", "1")
    return make_project(tmp_path / "project", named, good_tastes=TASTES)


@pytest.mark.usefixtures("without_a_process")
def test_what_was_foretold_of_the_same_events_stands_in_every_row(versions, named):
    plain = recommend(versions, named, k=2)
    assert pq.read_schema(plain.path).names == recommendations.SCHEMA.names
    (versions / KEPT).mkdir(parents=True, exist_ok=True)
    (versions / KEPT / "events.parquet").write_bytes(b"some events")
    (versions / SCREENED).mkdir(parents=True, exist_ok=True)
    (versions / SCREENED / "accounts.parquet").write_bytes(b"nobody left out")
    some = sorted(set(pq.read_table(plain.path)["user_id"].to_pylist()))[1:]
    p = np.linspace(0.125, 0.875, len(some))
    write_foretold(
        pa.table({"user_id": some, "p_purchase": p}),
        versions,
        7,
        md5_of_events(versions),
    )
    published = recommend(versions, named, k=2, part_shoppers=40)
    assert not published.unchanged
    found = pq.read_table(published.path).to_pandas()
    assert found.columns.tolist() == [*recommendations.SCHEMA.names, "p_purchase"]
    assert found["p_purchase"][:2].isna().all()  # one who has no row there
    np.testing.assert_allclose(found["p_purchase"][2:], np.repeat(p, 2), 1e-6)
    assert recommend(versions, named, k=2).unchanged
    (versions / SCREENED / "accounts.parquet").write_bytes(b"somebody left out")
    assert pq.read_schema(recommend(versions, named, k=2).path).names == recommendations.SCHEMA.names


@pytest.mark.usefixtures("without_a_process")
def test_the_same_again_is_not_computed_again_and_anything_else_is(versions, named, monkeypatch):
    first = recommend(versions, named)
    assert first.about["k"] == named.recommend.k
    assert first.about["exclude_seen"]
    monkeypatch.setattr(parts, "asking", None)
    left = first.path.parent / f".{first.path.name}.parts" / "a run killed right after its rename"
    left.mkdir(parents=True)
    again = recommend(versions, named)
    assert (again.unchanged, again.about) == (True, first.about)
    assert not left.exists()
    monkeypatch.setattr(parts, "asking", answering)
    for change in ({"k": 3}, {"k": 3, "exclude_seen": False}):
        published = recommend(versions, named, **change)
        assert not published.unchanged
        assert change.items() <= published.about.items()
    with pytest.raises(RecganError, match="k is 0; ask for at least 1 item"):
        recommend(versions, named, k=0)


@pytest.mark.usefixtures("without_a_process")
def test_the_champion_is_asked_with_the_ages_of_the_histories(versions, named, monkeypatch):
    write_features(dated_features(), versions / "data" / "features")
    newest, asked = newest_histories(dated_features()), []

    @contextmanager
    def noting(*arguments, **named):
        with answering(*arguments, **named) as answer:
            yield lambda batch: asked.append(batch) or answer(batch)

    monkeypatch.setattr(parts, "asking", noting)
    recommend(versions, named, part_shoppers=40)
    ages = [days for batch in asked for row in batch["age_days"].to_pylist() for days in row]
    assert ages == newest.ages.data.tolist()
    assert [len(row) for batch in asked for row in batch["history"].to_pylist()] == (
        np.diff(newest.user_items.indptr).tolist()
    )


@pytest.mark.usefixtures("without_a_process")
def test_rows_do_not_depend_on_who_makes_which_part(versions, named):
    one = pq.read_table(recommend(versions, named, k=3, part_shoppers=20).path)
    shutil.rmtree(versions / "recommendations")
    makers = []

    def side_by_side(job, numbers):
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(parts.make, [job] * 3, (numbers[5:], numbers[::-1], numbers[:2])))  # some twice
        makers.append(numbers)

    published = recommend(versions, named, k=3, run=side_by_side, part_shoppers=20)
    assert makers == [list(range(8))]
    many = pq.read_table(published.path)
    assert many.equals(one)
    assert many.num_rows == 3 * USERS
    assert pq.ParquetFile(published.path).num_row_groups == 8


@pytest.mark.usefixtures("without_a_process")
def test_a_run_that_was_stopped_makes_only_the_parts_that_are_not_there(versions, named):
    asked = []

    def stopped(job, numbers):
        parts.make(job, numbers[:3])
        raise KeyboardInterrupt

    def run(job, numbers):
        asked.extend(numbers)
        parts.make(job, numbers)

    with pytest.raises(KeyboardInterrupt):
        recommend(versions, named, k=3, run=stopped, part_shoppers=20)
    recommend(versions, named, k=3, run=run, part_shoppers=20)
    assert asked == [3, 4, 5, 6, 7]
    assert [path.name for path in (versions / "recommendations").iterdir() if path.is_dir()] == []


def test_the_ids_of_a_large_catalogue_come_in_chunks():
    ids = [f"item-{item}" for item in range(ITEMS)]
    histories = newest_histories(dated_features()).user_items
    chunks = pa.chunked_array([ids[:7], ids[7:]], pa.string())
    assert questions(histories, chunks).equals(questions(histories, pa.array(ids)))


@contextmanager
def repeating(model, k, exclude_seen, *how):
    def answer(asked):
        lists = [["a", "b", "a", "c", "c"], [], ["b"] * 5][: asked.num_rows]
        lists += [["d"]] * (asked.num_rows - len(lists))
        scores = [[float(-place) for place, _ in enumerate(items)] for items in lists]
        return pa.record_batch(
            [pa.array(lists, pa.list_(pa.string())), pa.array(scores, pa.list_(pa.float64()))],
            ["item_ids", "scores"],
        )

    yield answer


@pytest.mark.usefixtures("without_a_process")
def test_a_repeated_item_is_published_once_at_its_first_place(versions, named, monkeypatch, caplog):
    monkeypatch.setattr(parts, "asking", repeating)
    found = pq.read_table(recommend(versions, named, k=5).path).to_pydict()
    rows = list(zip(found["user_id"], found["rank"], found["item_id"], found["score"], strict=True))
    first, third = sorted(f"user-{user}" for user in range(USERS))[0:3:2]
    expected = [(first, 1, "a", 0), (first, 2, "b", -1), (first, 3, "c", -3), (third, 1, "b", 0)]
    assert rows[:4] == expected
    assert len(rows) == 4 + USERS - 3
    assert "version 2 repeats items in its lists: 6 left out" in caplog.text


@pytest.mark.usefixtures("without_a_process")
def test_a_champion_that_changes_on_the_way_is_not_published(versions, named, monkeypatch):
    """A rollback takes the champion away after its last part: the file is the other version's, whole."""
    name, join = named.register_.name, recommendations.joined
    done = []

    def join_and_roll_back(*arguments):
        whole = join(*arguments)
        if not done:
            done.append(rollback(Numbers(name, versions), "empty lists", "ada"))
        return whole

    monkeypatch.setattr(recommendations, "joined", join_and_roll_back)
    published = recommend(versions, named)
    assert published.about["version"] == "1"
    assert set(pq.read_table(published.path)["version"].to_pylist()) == {"1"}
    assert "make recommend" not in live_now(versions, done[0])


@pytest.mark.usefixtures("without_a_process")
def test_after_a_rollback_a_file_of_the_withdrawn_version_is_named(versions, named):
    recommend(versions, named)
    done = rollback(Numbers(named.register_.name, versions), "empty lists", "ada")
    assert "still holds version 2: make recommend" in live_now(versions, done)


def test_a_champion_that_does_not_answer_leaves_the_file_as_it_was(versions, named, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(recommendations, "fetched", fetched)
        patch.setattr(parts, "asking", answering)
        patch.setattr(parts, "catalogue_size", lambda model: ITEMS)
        before = recommend(versions, named)
    content = before.path.read_bytes()
    monkeypatch.setattr(recommendations, "fetched", process.fetched)
    with pytest.raises(Unavailable, match="cannot be fetched") as passing:
        recommend(versions, named, k=3)
    assert "rollback" not in str(passing.value)

    def wrong(model_uri, within):
        raise NoAnswerError("an item stands twice")

    monkeypatch.setattr(recommendations, "fetched", wrong)
    with pytest.raises(RecganError, match=r"the champion \(version 2 of .*; recgan rollback"):
        recommend(versions, named, k=3)
    assert before.path.read_bytes() == content


def test_no_champion_is_said(store_env, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    with pytest.raises(RecganError, match="has no champion yet"):
        recommend(root, named)


# --- the process that answers ----------------------------------------------------------------------------


def test_a_process_that_is_killed_says_so(tmp_path, monkeypatch):
    dies = tmp_path / "ask.py"
    dies.write_text("import sys; sys.exit('no memory left')")
    monkeypatch.setattr(process, "__file__", str(tmp_path / "asking.py"))
    says = pytest.raises(NoAnswerError, match="its process ended with 1: no memory left")
    with says, asking(tmp_path, 5, True) as answer:
        answer(pa.record_batch([[["item-1"]], [[1.0]], [None]], QUESTIONS))


def test_it_ends_with_its_input():
    """A killed run leaves nobody who goes on answering."""
    script = Path(process.__file__).with_name("ask.py")
    child = subprocess.Popen(
        [sys.executable, "-P", str(script), "nowhere", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert child.poll() is None
    child.stdin.close()
    child.wait(60)

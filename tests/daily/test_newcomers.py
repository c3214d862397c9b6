"""New products in the published lists, and what the monitor makes of them."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recgan.core.errors import RecganError
from recgan.daily.newcomers import newcomers_for, update_newcomers
from recgan.daily.published import published_items
from recgan.daily.recommendations import recommend
from recgan.newcomers.file import read_newcomers, target_path, write_newcomers
from recgan.package.store import Recommenders, load_champion
from recgan.registry.enrol import enrol
from recgan.registry.tracking import connect
from recgan.registry.versions import VersionId
from tests.conftest import screen_out
from tests.newcomers.shop import write_kept
from tests.package.conftest import TASTES, USERS, make_project

pytestmark = pytest.mark.usefixtures("forked_packages")

BUYERS = ["user-20", "user-26", "user-32"]


@pytest.fixture
def named(params, request):
    return params.model_copy(
        update={"register_": params.register_.model_copy(update={"name": request.node.name})}
    )


@pytest.fixture
def shop(store_env, named, tmp_path):
    root = make_project(tmp_path / "project", named, good_tastes=TASTES)
    registered = enrol(Recommenders(root, named))
    connect().set_registered_model_alias(named.register_.name, "champion", registered.version)
    write_kept(
        root / "data" / "kept",
        [("new", 2)],
        [(user, "new", 1.5) for user in BUYERS] + [(f"user-{user}", "item-1", 1.0) for user in range(40, 60)],
    )
    return root


def test_lists_hold_new_products_and_say_so(shop, named):
    name = named.register_.name
    without = recommend(shop, named, k=5)
    assert set(pq.read_table(without.path)["new"].to_pylist()) == {False}
    update_newcomers(shop, named)
    published = recommend(shop, named, k=5)
    assert not published.unchanged
    found = pq.read_table(published.path).to_pandas()
    assert len(found) == 5 * USERS
    assert set(found.loc[found["new"], "item_id"]) == {"new"}
    had_it = set(found.loc[found["new"], "user_id"])
    assert not had_it & set(BUYERS)
    assert {"user-2", "user-8", "user-14"} <= had_it
    # What stands beside it is what the package alone would say, one place lower.
    alone = load_champion(shop, name).packaged
    histories = [[f"item-{item}" for item in range(2, 30, TASTES)]]
    assert alone.recommend(histories, 5)[0].item_ids
    assert "new" not in set(published_items(published.path, 5))
    assert recommend(shop, named, k=5).unchanged
    target_path(shop, name).unlink()
    assert not recommend(shop, named, k=5).unchanged


def test_a_product_that_only_accounts_left_out_came_to_is_not_pushed(shop, named):
    assert update_newcomers(shop, named).newcomers.item_ids == ["new"]
    screen_out(shop, *BUYERS)
    assert update_newcomers(shop, named).newcomers.item_ids == []


def test_a_file_for_another_package_is_refused(shop, named, caplog):
    name = named.register_.name
    path = update_newcomers(shop, named).path
    assert newcomers_for(shop, name, VersionId("2", "another")) is None
    assert "was made for version 1, not for version 2" in caplog.text
    found = read_newcomers(path)
    write_newcomers(dataclasses.replace(found, origin=dataclasses.replace(found.origin, package="0")), path)
    with pytest.raises(RecganError, match=r"\(md5 0\), and version 1 has md5 .*: it is not used"):
        recommend(shop, named, k=3)


def test_a_log_without_times_has_no_new_products(shop, named, monkeypatch):
    from recgan.newcomers import log

    path = update_newcomers(shop, named).path
    assert path.exists()
    table = pq.read_table(shop / "data" / "kept" / "events.parquet")
    times = table.schema.get_field_index("timestamp")
    undated = pa.nulls(len(table), table.schema.field(times).type)
    blank = table.set_column(times, table.schema.field(times), undated)
    pq.write_table(blank, shop / "data" / "kept" / "events.parquet")
    updated = update_newcomers(shop, named)
    assert (updated.newcomers, path.exists()) == (None, False)
    assert "nothing tells which products are new" in updated.why_none
    assert issubclass(log.UndatedError, RecganError)

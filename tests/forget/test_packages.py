"""A registered version goes on serving without a person's history, and servers take it up."""

from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient

from recgan.forget.packages import count_in, forget_in, is_begun, packages
from recgan.forget.wanted import wanted
from recgan.package import store
from recgan.registry.manifest import check_artifacts, md5_of
from recgan.registry.tracking import connect
from recgan.registry.versions import EDITED, champion_version
from recgan.serving.app import create_app
from tests.serving.conftest import (  # noqa: F401  (fixtures)
    params,
    shop,
    store_env,
    store_uri,
    until,
)


def test_a_history_is_taken_out_while_a_server_goes_on(shop):  # noqa: F811
    before = store.load_version(shop, "1")
    user, *others = before.shoppers.rows
    people = wanted([user])
    with TestClient(create_app(shop, poll_seconds=0.1)) as client:

        def asked():
            return client.post("/recommend", json={"user_id": user}).json()

        until(lambda: client.get("/ready").status_code == 200)
        assert asked()["user_known"] is True
        found = packages(Path(), shop)
        assert [(one.title, count_in(one, people)) for one in found] == [
            (f"{shop} version {one.version.version}", 1) for one in found
        ]
        live, md5s = champion_version(Path(), shop), {}
        for one in found:
            md5s |= forget_in(Path(), one, people)
        until(lambda: asked()["user_known"] is False)
    assert [count_in(one, people) for one in packages(Path(), shop)] == [0, 0]
    assert champion_version(Path(), shop)[:2] == live[:2]
    assert champion_version(Path(), shop) != live
    after = store.load_version(shop, "1")
    assert md5s[before.md5] == after.md5
    assert list(after.shoppers.rows) == others
    for other in others:
        old, new = (one.shoppers.user_items[[one.shoppers.rows[other]]].toarray() for one in (before, after))
        np.testing.assert_array_equal(old, new)
    for one in packages(Path(), shop):
        check_artifacts(one.artifacts)
        assert md5_of(one.artifacts) in md5s.values()


def test_a_run_that_was_killed_at_a_package_is_finished(shop):  # noqa: F811
    connect().set_model_version_tag(shop, "2", EDITED, "begun")
    begun = [one for one in packages(Path(), shop) if is_begun(one)]
    assert [one.version.version for one in begun] == [2]
    forget_in(Path(), begun[0], wanted(["nobody"]))
    assert not any(is_begun(one) for one in packages(Path(), shop))
    assert store.load_version(shop, "2").shoppers is not None

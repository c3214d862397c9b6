"""One list of both with a cap; the file: what it holds, whom it fits, and that it is never half there."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recgan.core.errors import RecganError
from recgan.core.stamp import stamp
from recgan.newcomers.file import read_newcomers, write_newcomers
from recgan.newcomers.tastes import Standing, Tastes
from recgan.newcomers.weights import Newcomers, Origin, together, top_k_of_both
from recgan.package.packaged import Catalogue


def scores(*rows):
    return np.array(rows, dtype=np.float32)


def ranked(known, new, k, share):
    return top_k_of_both(known, new, k, share)[0].tolist()


def test_new_products_stand_where_their_scores_put_them_up_to_their_share():
    known, new = scores([5, 4, 3, 2, 1]), scores([4.5, 9, 3.5])
    assert ranked(known, new, 5, 1.0) == [[6, 0, 5, 1, 7]]
    assert ranked(known, new, 5, 0.4) == [[6, 0, 5, 1, 2]]
    assert ranked(known, new, 5, 0.2) == [[6, 0, 1, 2, 3]]
    assert ranked(known, new, 5, 0.19) == [[0, 1, 2, 3, 4]]
    assert ranked(known, new, 10, 0.3) == [[6, 0, 5, 1, 7, 2, 3, 4]]


def test_new_products_fill_the_places_that_known_ones_leave_empty():
    known, new = scores([-np.inf, 4, -np.inf], [1, 2, 3]), scores([1, 2, 9], [9, -np.inf, 8])
    assert ranked(known, new, 3, 0.0) == [[5, 1, 4], [2, 1, 0]]


def test_equal_scores_go_to_the_known_product():
    assert ranked(scores([1, 1]), scores([1, 1]), 4, 1.0) == [[0, 1, 2, 3]]


@given(
    st.integers(1, 12), st.integers(0, 300), st.integers(1, 12), st.sampled_from([0, 0.1, 0.2, 0.5, 1]),
    st.integers(0, 2**31),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_flood_takes_no_more_than_the_share(n_known, n_new, k, share, seed):
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(4, n_known)).astype(np.float32)
    new = 5 + rng.normal(size=(4, n_new)).astype(np.float32)
    for row in top_k_of_both(known, new, k, share)[0]:
        there = row[row >= 0]
        assert len(set(there.tolist())) == len(there) == min(k, n_known + n_new) - np.sum(row < 0)
        assert np.sum(there >= n_known) <= max(int(share * k + 1e-9), k - n_known)


def newcomers(**changes):
    rng = np.random.default_rng(0)
    found = Newcomers(
        origin=Origin("shop", "1", "run", "md5 of the package", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        item_ids=["x", "y", "ø\n"],
        catalogue=Catalogue(["X", None, "Ø"], ["toys", None, None], [1.5, None, 2.0]),
        standing=Standing.of(Tastes(rng.normal(size=(4, 2)).astype(np.float32)), rng.normal(size=(4, 3))),
        vectors=rng.normal(size=(3, 3)).astype(np.float32),
        lift=1.5,
        max_share=0.2,
        stand_ins=np.array([[0, 1], [3, 2], [1, 1]], dtype=np.int32),
        stand_in_shares=np.array([[0.75, 0.25], [1, 0], [0, 0]], dtype=np.float32),
        owners={"ann": [0, 2]},
    )
    return replace(found, **changes)


def test_pictures_stand_beside_known_and_new_products_alike():
    bare, pictured = Catalogue(["A"], [None], [1.0]), Catalogue(["B"], ["toys"], [None], ["https://b"])
    assert together(bare, pictured).images == [None, "https://b"]
    assert together(pictured, bare).images == ["https://b", None]
    assert together(bare, bare).images is None


def test_what_is_written_is_read(tmp_path):
    path, written = tmp_path / "folder" / "shop.newcomers.safetensors", newcomers()
    assert stamp(path) is None
    write_newcomers(written, path)
    found = read_newcomers(path)
    for name in ("origin", "item_ids", "catalogue", "lift", "max_share", "owners"):
        assert getattr(found, name) == getattr(written, name)
    row = scores([1, 3, 2, 7])
    assert found.score(row).tolist() == written.score(row).tolist()
    assert found.stand_in(0) == [(0, 0.75), (1, 0.25)]
    assert (found.stand_in(1), found.stand_in(2)) == ([(3, 1.0)], [])
    assert (found.had_by("ann"), found.had_by("bob")) == ([0, 2], [])
    before = stamp(path)
    write_newcomers(written, path)
    assert stamp(path) != before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": np.zeros((3, 2), dtype=np.float32)},
        {"vectors": np.zeros((2, 3), dtype=np.float32)},
        {"stand_ins": np.full((3, 2), 4, dtype=np.int32)},
        {"catalogue": Catalogue([], [], [])},
        {"catalogue": Catalogue([None] * 3, [None] * 3, [None] * 3, ["https://shop.example/a.jpg"])},
        {"vectors": np.full((3, 3), np.nan, dtype=np.float32)},
        {"max_share": 5.0},
        {"item_ids": ["x", "y", "x"]},
    ],
)
def test_a_file_whose_parts_cannot_be_used_is_refused(tmp_path, changes):
    write_newcomers(newcomers(**changes), tmp_path / "file")
    with pytest.raises(RecganError, match=r"no readable new products .*; run recgan newcomers"):
        read_newcomers(tmp_path / "file")


def test_a_damaged_file_is_refused(tmp_path):
    write_newcomers(newcomers(), tmp_path / "file")
    whole = (tmp_path / "file").read_bytes()
    for content in (b"", whole[:-9], b"\xff" * 99):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(RecganError, match="no readable new products"):
            read_newcomers(tmp_path / "file")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_newcomers(newcomers(), tmp_path / "file")
    whole = (tmp_path / "file").read_bytes()
    with pytest.raises(ValueError):
        write_newcomers(newcomers(lift=float("nan")), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == whole

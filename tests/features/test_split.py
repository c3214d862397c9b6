"""Laws of the splits by items, and of the vocabulary."""

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recgan.data.codes import encode
from recgan.features.draw import draws, pair_hashes
from recgan.features.settings import PublishedSplit, RandomSplit
from recgan.features.split import (
    TEST,
    TRAIN,
    VALIDATION,
    leave_last_out_windows,
    published_windows,
    random_windows,
)
from recgan.features.vocabulary import k_core

sizes = st.lists(st.integers(1, 12), min_size=1, max_size=8)
SPLIT = RandomSplit(kind="random", validation_share=0.1, test_share=0.2, seed=0)
PUBLISHED = PublishedSplit(kind="published", validation_share=0.3, seed=0)


def hashed_by_hand(user, item, seed):
    """The definition, one pair at a time in Python's whole numbers."""
    key, mask = seed.to_bytes(8, "little"), 2**64 - 1
    one, other = (
        int.from_bytes(blake2b(text.encode(), digest_size=8, key=key, person=person).digest(), "little")
        for text, person in ((user, b"recgan user"), (item, b"recgan item"))
    )
    mixed = (one + other) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return mixed ^ (mixed >> 31)


@given(st.text(max_size=5), st.text(max_size=5), st.integers(0, 2**32 - 1))
def test_a_pairs_hash_is_its_definition(user, item, seed):
    [found] = pair_hashes([user], [item], np.array([0]), np.array([0]), seed)
    assert int(found) == hashed_by_hand(user, item, seed)
    [number] = draws(np.array([found]))
    assert 0 <= number < 1
    assert number == (int(found) >> 11) / 2**53


def test_a_draw_is_the_same_for_ever():
    # Whoever changes these numbers moves what every registered version was trained on: change DRAW too.
    hashes = pair_hashes(["u1", "ü"], ["i1", ""], np.array([0, 1, 0]), np.array([0, 0, 1]), seed=7)
    assert [int(one) for one in hashes] == [
        17265876129214235300,
        6004236662114262929,
        15882654656116515940,
    ]


def test_draws_are_even_and_know_nothing_of_rows_columns_or_seeds():
    n = 400
    users, items = (codes.ravel() for codes in np.mgrid[:n, :n])
    ids = [str(code) for code in range(n)]
    one, other = (draws(pair_hashes(ids, ids, users, items, seed)).reshape(n, n) for seed in (0, 1))
    assert stats.kstest(one.ravel(), "uniform").pvalue > 0.001
    for table in (one.mean(axis=0), one.mean(axis=1)):  # of each user, of each item
        assert table.std() == pytest.approx(np.sqrt(1 / 12 / n), rel=0.15)
    for apart in (one[:, 1:] - one[:, :-1], one[1:] - one[:-1], one - other, one - one.T):
        assert apart[apart != 0].var() == pytest.approx(1 / 6, rel=0.05)  # of two that are independent


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1), st.integers(0, 99))
def test_a_pairs_window_never_moves_when_others_come(pairs, seed):
    """Whatever else the log holds: other users, other items, more of the user's own."""

    def windows(pairs):
        users, items = (np.array(codes, dtype=np.int32) for codes in zip(*pairs, strict=True))
        user_ids, item_ids = (np.unique(codes).astype(str) for codes in (users, items))  # coded anew
        codes = [np.unique(codes, return_inverse=True)[1] for codes in (users, items)]
        drawn = draws(pair_hashes(user_ids.tolist(), item_ids.tolist(), *codes, seed))
        return dict(zip(pairs, random_windows(drawn, SPLIT).tolist(), strict=True))

    everything = windows([(user, item) for user in range(10) for item in range(10)])
    assert windows(sorted(pairs)) == {pair: everything[pair] for pair in pairs}


def test_windows_have_their_shares_and_a_smaller_test_is_part_of_a_larger():
    drawn = np.random.default_rng(0).random(100_000)
    windows = random_windows(drawn, SPLIT)
    assert np.bincount(windows) / len(drawn) == pytest.approx([0.7, 0.1, 0.2], abs=0.005)
    larger = random_windows(drawn, SPLIT.model_copy(update={"test_share": 0.3}))
    assert (larger[windows == TEST] == TEST).all()


def test_shares_that_leave_nothing_for_train_are_refused():
    with pytest.raises(ValueError, match=r"test_share 0.5 leave nothing for train"):
        RandomSplit(kind="random", validation_share=0.5, test_share=0.5, seed=0)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 1, exclude_max=True)), max_size=12))
def test_published_windows_keep_the_test_and_every_item_of_train(rows):
    items = np.array([item for item, _, _ in rows], dtype=np.int32)
    given_windows = np.array([TEST if test else TRAIN for _, test, _ in rows], dtype=np.int8)
    drawn = np.array([draw for _, _, draw in rows])
    windows = published_windows(drawn, items, given_windows, PUBLISHED)
    assert ((windows == TEST) == (given_windows == TEST)).all()
    for item in range(4):
        of_item = np.flatnonzero((items == item) & (given_windows == TRAIN))
        back = of_item[np.argmax(drawn[of_item])] if len(of_item) else None
        for row in of_item:
            whole = (drawn[of_item] < PUBLISHED.validation_share).all()
            kept = drawn[row] >= PUBLISHED.validation_share or (whole and drawn[row] == drawn[back])
            assert (windows[row] == TRAIN) == kept or drawn[row] == drawn[back]
        assert not len(of_item) or (windows[of_item] == TRAIN).any()


@given(sizes, st.integers(0, 99))
def test_leave_last_out_takes_the_latest(sizes, seed):
    users = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    last = np.random.default_rng(seed).integers(0, 5, len(users))
    windows = leave_last_out_windows(users, last)
    for user, size in enumerate(sizes):
        of_user, when = windows[users == user], last[users == user]
        assert (of_user == TEST).sum() == (size >= 2)
        assert (of_user == VALIDATION).sum() == (size >= 3)
        for earlier, later in ((TRAIN, VALIDATION), (VALIDATION, TEST), (TRAIN, TEST)):
            if (of_user == later).any() and (of_user == earlier).any():
                assert when[of_user == earlier].max() <= when[of_user == later].min()


@given(
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=49),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_k_core_is_the_largest_set_that_holds(pairs, min_user_items, min_item_users):
    pairs = sorted(pairs)
    users, items = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    kept = k_core(users, items, min_user_items, min_item_users)

    left = set(pairs)  # one pair at a time, in no particular order
    while True:
        weak = [
            (u, i)
            for u, i in left
            if sum(u == v for v, _ in left) < min_user_items or sum(i == j for _, j in left) < min_item_users
        ]
        if not weak:
            break
        left.remove(weak[0])
    assert {pair for pair, keep in zip(pairs, kept, strict=True) if keep} == left


@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=4))
def test_encode_sorts_ids_and_codes_point_at_them(chunks):
    column = pa.chunked_array(chunks, type=pa.string())
    ids, codes = encode(column)
    assert ids.tolist() == sorted({value for chunk in chunks for value in chunk})
    assert [ids[code] for code in codes] == column.to_pylist()

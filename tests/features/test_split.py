"""Laws of the splits by items, and of the vocabulary."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recgan.features.split import TEST, TRAIN, VALIDATION, leave_last_out_windows, random_windows
from recgan.features.vocabulary import encode, k_core
from recgan.params import RandomSplit

sizes = st.lists(st.integers(1, 12), min_size=1, max_size=8)
shares = st.floats(0, 0.99)


@given(sizes, shares, st.floats(0.01, 0.99), st.integers(0, 99))
def test_random_windows_have_their_share_and_leave_train_an_item(sizes, validation, test, seed):
    users = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    split = RandomSplit(kind="random", validation_share=validation, test_share=test, seed=seed)
    windows = random_windows(users, split)
    for user, size in enumerate(sizes):
        counts = np.bincount(windows[users == user], minlength=3)
        assert counts[TRAIN] >= 1
        assert counts[TEST] == min(int(np.floor(size * test + 0.5)), size - 1)
        assert counts[VALIDATION] == min(int(np.floor(size * validation + 0.5)), size - 1 - counts[TEST])


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

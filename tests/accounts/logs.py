"""Logs of pairs, from sets of items."""

import numpy as np

from recgan.accounts.log import Log


def log_of_sets(histories, stars=None, first=None) -> Log:
    """Return the log of accounts 0, 1, … with the items of each; the items are whole numbers.

    Args:
        histories: a set of items for each account.
        stars: {(account, item): stars}; None has no ratings.
        first: {(account, item): day}; None has no times.
    """
    pairs = [(user, item) for user, items in enumerate(histories) for item in sorted(items)]
    users, items = np.array(pairs, np.int32).reshape(-1, 2).T
    n_items = int(items.max(initial=-1)) + 1
    told = [np.nan if stars is None else stars[pair] for pair in pairs]
    days = None if first is None else np.array([first[pair] for pair in pairs], float)
    return Log(
        user_ids=np.array([f"u{user:03}" for user in range(len(histories))], object),
        item_ids=np.array([f"i{item:03}" for item in range(n_items)], object),
        user=users,
        item=items,
        first=days,
        events=np.ones(len(pairs), np.int32),
        kinds=np.full(len(pairs), 1, np.uint8),
        stars=np.array(told, np.float32),
        start=None,
        end=0.0 if days is None else float(days.max(initial=0)),
    )

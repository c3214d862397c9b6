"""Groups: accounts that are left out together, by the crowds that they share."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recgan.accounts.lockstep import Lockstep
from recgan.accounts.log import Log
from recgan.accounts.tables import GROUPS


def groups_of(
    log: Log, found: Lockstep | None, accounts: NDArray[np.bool_]
) -> tuple[pa.Table, NDArray[np.int32]]:
    """Find the groups of some accounts.

    Args:
        log: the pairs.
        found: their crowds; None where nothing looked for any.
        accounts: (users,) which are grouped.

    Returns:
        The table of groups, and each account's group, -1 without one.
    """
    return GROUPS.empty_table(), np.full(len(log.user_ids), -1, dtype=np.int32)

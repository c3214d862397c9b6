"""Small matrices that the tests of several recommenders share."""

import numpy as np
from scipy.sparse import csr_array


def checkerboard(size: int = 30) -> csr_array:
    """Even users like even items, odd users odd ones; the diagonal is withheld."""
    rows, columns = np.indices((size, size))
    return csr_array(((rows % 2 == columns % 2) & (rows != columns)).astype(np.float32))


def histories(users: int = 20, items: int = 14, seed: int = 0) -> csr_array:
    """Each user has three items in ten, by chance."""
    rng = np.random.default_rng(seed)
    return csr_array((rng.random((users, items)) < 0.3).astype(np.float32))

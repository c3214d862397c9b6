"""Where the items' vectors start: the leading singular vectors of which items stand near each other.

With C_ij the sum of 1/distance over all pairs of i and j within three steps of one history, f its row sums,
T its total, and α = .75

    P_ij = max(0, log(C_ij T^α / (f_i f_j^α)) + 2)   where C_ij > 0,    P ≈ U S Vᵀ,    E = U √S

which is shifted positive pointwise mutual information with smoothed contexts (Levy & Goldberg 2014, Levy et
al. 2015), except that the shift raises: catalogues are sparse, and a pair seen at all says something. A
network that starts from random vectors needs many times the epochs, and on small data does not get there.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

WINDOW = 3
"""Steps between two items of a pair, at most."""
_SMOOTHING = 0.75
_SHIFT = 2.0


def ppmi(items: NDArray[np.int64], rows: NDArray[np.int64], n_items: int) -> csr_array:
    """Return P (items, items).

    Args:
        items: (entries,) positions, each history's from its oldest to its newest.
        rows: (entries,) which history, ascending.
        n_items: of the catalogue.
    """
    left, right, near = [], [], []
    for distance in range(1, WINDOW + 1):
        same = np.flatnonzero(rows[distance:] == rows[:-distance])
        left.append(items[same])
        right.append(items[same + distance])
        near.append(np.full(len(same), 1 / distance))
    one, other, weights = np.concatenate(left), np.concatenate(right), np.concatenate(near)
    both = (np.concatenate([one, other]), np.concatenate([other, one]))
    C = coo_array((np.concatenate([weights, weights]), both), shape=(n_items, n_items)).tocsr()
    C.sum_duplicates()
    total = np.asarray(C.sum(axis=1)).ravel()
    at = np.repeat(np.arange(n_items), np.diff(C.indptr))
    lift = np.log(C.data / total[at]) - _SMOOTHING * np.log(total[C.indices] / total.sum()) + _SHIFT
    P = csr_array((np.maximum(lift, 0), C.indices, C.indptr), shape=C.shape)
    P.eliminate_zeros()
    return P


def first_vectors(P: csr_array, width: int, seed: int) -> NDArray[np.float32]:
    """Return E (items, width), of mean length 1 and a little noise; nothing but noise where P says nothing.

    Args:
        P: (items, items).
        width: dimensions; those beyond what P has are noise.
        seed: of the noise, and of where the decomposition starts.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second to import; scoring needs none

    n_items = P.shape[0]
    rng = np.random.default_rng(seed)
    found = np.zeros((n_items, width))
    most = min(width, n_items)
    if P.nnz:
        U, S, _ = randomized_svd(P, most, random_state=seed)
        found[:, :most] = U * np.sqrt(S)
        found /= np.linalg.norm(found, axis=1).mean()
    return (found + 0.01 * rng.standard_normal(found.shape)).astype(np.float32)

"""The curves of a training as a file. Needs no torch: what is not trained has a file without rows."""

import csv
import io
from collections.abc import Mapping, Sequence

ALWAYS = ("epoch", "validation_ndcg", "g_loss", "d_loss", "d_real", "d_fake", "g_grad_norm", "d_grad_norm")
"""Columns that DVC's plots name, so that every file has them; blank is what a training does not have."""


def curves_csv(curves: Sequence[Mapping[str, float | None]]) -> str:
    """Return the epochs' losses and scores as CSV; what nobody looked at in an epoch is blank."""
    columns = list(dict.fromkeys([*(name for row in curves for name in row), *ALWAYS]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_number(row.get(name)) for name in columns] for row in curves)
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.6g}"

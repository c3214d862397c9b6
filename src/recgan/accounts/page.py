"""The page of the screen."""

from html import escape

from recgan.accounts.screen import Screening
from recgan.core.redact import shown

_ROWS = 200


def page(screening: Screening) -> str:
    """Return reports/screening.html: the accounts that are left out or suspect, the most suspect first."""
    rows = screening.tables.accounts.slice(0, _ROWS).to_pylist()
    lines = [
        f"<tr><td>{escape(shown(row['user_id']))}</td>"
        f"<td>{'left out' if row['quarantined'] else 'listed'}</td>"
        f"<td>{escape('; '.join(row['reasons']))}</td></tr>"
        for row in rows
        if row["quarantined"] or row["suspect"]
    ]
    summary = screening.summary
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Accounts</title>',
            f"<h1>Accounts</h1><p>{summary['quarantined']:,} of {summary['accounts']:,} accounts are left "
            f"out of what is learned from; {summary['suspects']:,} more are listed.</p>",
            "<table><tr><th>account</th><th>what became of it</th><th>why</th></tr>",
            *lines,
            "</table></html>\n",
        ]
    )

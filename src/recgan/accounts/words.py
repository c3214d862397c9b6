"""What the page says in words: the finding in a sentence, and what each detector, style and setting means."""

from collections.abc import Mapping
from typing import Any

from recgan.accounts.screen import too_short
from recgan.accounts.settings import ScreenParams

BY = {
    "lockstep": "{accounts} in lockstep: several accounts come to the same products within days, far above "
    "those products’ ordinary rate",
    "labels": "{accounts} as labelled fakes do, by a detector that learned from the labels",
    "condemned": "{accounts} because a person condemned them (screen.condemned)",
}
"""Why accounts are left out."""

DETECTOR_WORDS = {
    "lock_max": ("Largest crowd", "How far the largest crowd that the account was part of exceeds chance."),
    "lock_mean": ("Crowds on average", "The same, on average over all products of the account."),
    "overlap": (
        "Overlap",
        "How much the history resembles other accounts’ histories. Shoppers of one taste do too.",
    ),
    "popularity": (
        "Popularity",
        "How popular the account’s products are. Unusually popular or unusual products hint at a script.",
    ),
    "pca": (
        "Profile",
        "How little the account’s profile varies with all others (PCA-VarSelect). Average profiles show so.",
    ),
    "labelled": ("Learned from labels", "How much the account resembles those that are labelled fake."),
}
"""Name and meaning of each detector's figure."""

STYLES = {
    "push": "accounts that come for one product and little else",
    "bot": "a script that comes to the product again and again",
    "segment": "accounts that like what the product’s buyers like",
    "bandwagon": "accounts that hide behind best sellers",
    "average": "accounts that rate like everybody",
    "crowd": "hired people with histories of their own",
    "farm": "accounts that act like shoppers, and push on the side",
    "drip": "accounts that push slowly, over months",
    "adversarial": "accounts whose histories a generator made to be overlooked",
}
"""What a style of campaign is."""

NOT_FOUND = (
    "A slow drip, or a crowd over months: accounts that come one by one. No window holds enough of them.",
    "Accounts whose histories a generator made to be overlooked (adversarial): few of them are found.",
    "A single fake account, nor every small campaign.",
)
"""What the detectors do not find, whatever was found."""

SETTINGS = {
    "enabled": "whether the detectors run",
    "windows_days": "lengths of the windows in which accounts are counted that come to one product",
    "least_accounts": "fewer accounts in a window are no crowd",
    "min_crowd": "left out if the largest crowd exceeds this …",
    "min_mean_crowd": "… and the crowds exceed this on average over the account’s products",
    "max_quarantined_share": "of all accounts; above it the night stops",
    "labels.min_each": "labels of each kind from which on a detector learns from them",
    "labels.precision": "of the labelled accounts that this detector would leave out",
    "canaries.seed": "of the simulated campaigns",
    "canaries.share": "simulated accounts in the log at once, of all accounts",
    "canaries.days": "length of a campaign",
    "canaries.styles": "campaigns that are tried",
    "canaries.watched": "those of them that the monitor warns of",
}
"""What each setting means."""


def title(summary: Mapping[str, Any], params: ScreenParams, refused: str | None) -> str:
    """Return the finding in a few words."""
    out, of = summary["quarantined"], summary["accounts"]
    if refused is not None:
        return f"The screen stopped: {out:,} of {of:,} accounts would be left out"
    if out:
        return f"{out:,} of {of:,} accounts {'is' if out == 1 else 'are'} left out"
    return "No account was left out" if params.enabled else "No account was looked at"


def lead(summary: Mapping[str, Any], params: ScreenParams) -> list[str]:
    """Return why accounts are left out, or why none is, in sentences."""
    if not params.enabled:
        said = ["screen.enabled is false: no detector looked at an account."]
    elif not summary["times"]:
        said = [
            "The events have no times. What accounts do together shows in time, so without labels no "
            "detector leaves anybody out; suspects are only listed."
        ]
    elif too_short(summary["times"], summary["days"], params):
        said = [
            f"The log spans {summary['days']:.2g} days, less than twice the shortest window. No other day is "
            "left to compare with, so without labels no detector leaves anybody out."
        ]
    elif summary["quarantined"]:
        said = []
    else:
        said = [
            "No accounts came to the same products together, within days and far above the products’ "
            "ordinary rate."
        ]
    counts = {by: count for by, count in summary["quarantined_by"].items() if count}
    both = sum(counts.values()) - summary["quarantined"]
    return (
        said
        + [
            BY.get(by, f"{{accounts}} by {by}").format(
                accounts=f"{count:,} {'account' if count == 1 else 'accounts'}"
            )
            + "."
            for by, count in counts.items()
        ]
        + [f"{both:,} of them for more than one reason."] * (both > 0)
    )

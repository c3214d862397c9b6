"""What the report and the page show of more windows, more seeds and the ablation."""

from collections.abc import Mapping
from typing import Any

Rows = list[list[str]]


def spread_rows(found: Mapping[str, Any]) -> tuple[list[str], Rows]:
    """Return the head and the lines of the table of candidates: NDCG of each window, mean and spread."""
    windows = [one["window"] for one in found["windows"]]
    head = ["candidate", *(one["test_start"][:10] for one in found["windows"]), "mean"]
    head += ["sd over windows", "sd over seeds"]
    rows = []
    for one in found["candidates"]:
        of_windows = [
            [figure["ndcg"] for figure in one["figures"] if figure["window"] == window] for window in windows
        ]
        cells = [f"{sum(some) / len(some):.4f}" if some else "–" for some in of_windows]
        spreads = [_number(one["mean"]), _number(one["sd_windows"]), _number(one["sd_seeds"])]
        rows.append([_name(one), *cells, *spreads])
    return head, rows


def seed_rows(found: Mapping[str, Any]) -> tuple[list[str], Rows]:
    """Return the head and the lines of every training of a candidate with several seeds; no line without."""
    windows = {one["window"]: one["test_start"][:10] for one in found["windows"]}
    rows = []
    for one in found["candidates"]:
        seeds = sorted({figure["seed"] for figure in one["figures"] if figure["seed"] is not None})
        for seed in seeds if len(seeds) > 1 else ():
            ndcg = {figure["window"]: figure["ndcg"] for figure in one["figures"] if figure["seed"] == seed}
            rows.append([_name(one), str(seed), *(_number(ndcg.get(window)) for window in windows)])
    return ["candidate", "seed", *windows.values()], rows


def comparison_rows(comparisons: list[Mapping[str, Any]]) -> Rows:
    """Return a line for each comparison: name, difference with interval, p and p after Holm."""
    return [
        [
            one["name"],
            f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]",
            f"{one['p_value']:.4f}",
            f"{one['p_holm']:.4f}",
        ]
        for one in comparisons
    ]


def windows_words(found: Mapping[str, Any]) -> str:
    """Say what was trained, and how the windows are pooled."""
    windows = found["windows"]
    users = ", ".join(f"{one['users']:,}" for one in windows)
    return (
        f"{len(windows)} test window{'s' if len(windows) > 1 else ''} (users: {users}), "
        f"{found['seeds']} seed{'s' if found['seeds'] > 1 else ''} of each candidate that has one, every "
        "training of its own. A window's figure is the mean over seeds. The standard deviation over seeds is "
        "that within a window. Windows overlap in what they are trained on and in their users."
    )


POOLED = (
    "The challenger against each other candidate over all windows, by a bootstrap that draws users: a user "
    "of several windows is drawn with all of them."
)


COMPARED = ["candidate", "difference [CI]", "p", "p after Holm"]


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the page shows of the replications: words, and tables as head and lines."""
    return {
        "words": windows_words(found),
        "tables": [
            (caption, head, rows)
            for caption, (head, rows) in (
                ("Each candidate over windows and seeds", spread_rows(found)),
                ("Each training of a candidate with several seeds", seed_rows(found)),
                ("The challenger against each other candidate over all windows", pooled_rows(found)),
            )
            if rows
        ],
        "pooled": POOLED if found["pooled"] else None,
        "ablation": ablation_words(found),
        "skipped": skipped_words(found),
    }


def pooled_rows(found: Mapping[str, Any]) -> tuple[list[str], Rows]:
    """Return the head and the lines of the comparisons over all windows; no line with one window."""
    return COMPARED, comparison_rows(found["pooled"])


def ablation_words(found: Mapping[str, Any]) -> list[str]:
    """Say what the adversarial term adds to each RC-GAN; nothing where nobody asked."""
    pooled = {one["name"]: one for one in found["ablation"]["pooled"]}
    lines = []
    for one in found["ablation"]["today"]:
        name = one["name"]
        text = (
            f"{name} with its adversarial term minus the same without: {_difference(one)} on today's window"
        )
        if name in pooled:
            text += f", {_difference(pooled[name])} over all windows"
        lines.append(f"{text} (p after Holm, two-sided).")
    return lines


def skipped_words(found: Mapping[str, Any]) -> list[str]:
    """Name each training that has no result, with the reason."""
    return [
        f"{_name({'name': one['candidate'], 'ablated': one['ablated']})}, window from "
        f"{one['test_start'][:10]}, seed {'none' if one['seed'] is None else one['seed']}: left out: "
        f"{one['skipped']}"
        for one in found["skipped"]
    ]


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['name']} without its adversarial term" if one["ablated"] else str(one["name"])


def _difference(one: Mapping[str, Any]) -> str:
    return (
        f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}], "
        f"{one['mean_challenger']:.4f} against {one['mean_other']:.4f}, p {one['p_holm']:.4f}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

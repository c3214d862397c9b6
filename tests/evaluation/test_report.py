"""The page of an evaluation: its figures, its charts by coordinates worked out by hand, and what it loads."""

import json
import math
import re
import tomllib
from datetime import date
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from recgan.core.errors import RecganError
from recgan.evaluation.evaluate import flat_metrics
from recgan.evaluation.metrics import popularity_shares
from recgan.evaluation.page import page, read_curves, render
from recgan.evaluation.plain_words import Verdict
from recgan.evaluation.plots import Point, Row, bar_chart, figure, interval_chart, line_chart, point_chart
from recgan.evaluation.report import report
from recgan.evaluation.svg import Line, Scale, ticks
from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"
METRICS = ("hr", "ndcg", "recall", "coverage", "novelty", "popularity_lift")


def summary(name="rcgan", other="ease"):
    """A summary as the stage writes it; every figure occurs once."""
    rng = np.random.default_rng(3)
    recommenders = {}
    for one in (name, "popularity", other):
        metrics = {f"{metric}_at_{k}": float(rng.random()) for metric in METRICS for k in (5, 10)}
        recommenders[one] = {
            "metrics": metrics,
            "intervals": {
                f"{metric}_at_{k}": {
                    "mean": metrics[f"{metric}_at_{k}"],
                    "low": metrics[f"{metric}_at_{k}"] - 0.01,
                    "high": metrics[f"{metric}_at_{k}"] + 0.01,
                }
                for metric in ("hr", "ndcg", "recall")
                for k in (5, 10)
            },
        }
    ndcg = {one: recommenders[one]["metrics"]["ndcg_at_10"] for one in recommenders}
    return {
        "challenger": name,
        "known_users": 1_111,
        "outside_items": 12,
        "outside_share": 0.0789,
        "days": [
            {
                "day": day,
                "last_day": day,
                "users": 30 - day,
                "interactions": 40,
                "outside": 4 * day,
                "ndcg": {one: float(rng.random()) for one in recommenders},
            }
            for day in (1, 2)
        ],
        "recommender": "rcgan",
        "candidates": [
            {"name": name, "kind": "rcgan", "validation_ndcg": 0.31, "skipped": None},
            {"name": "popularity", "kind": "popularity", "validation_ndcg": 0.11, "skipped": None},
            {"name": other, "kind": "ease", "validation_ndcg": None, "skipped": None},
            {"name": "ials", "kind": "ials", "validation_ndcg": None, "skipped": "9 GiB are too many"},
        ],
        "adversarial": {
            "gan": name,
            "classical": "popularity",
            "comparisons": [
                {
                    "name": "popularity",
                    "mean_challenger": 0.5,
                    "mean_other": 0.4,
                    "difference": 0.1,
                    "low": 0.05,
                    "high": 0.15,
                    "p_holm": 0.0321,
                }
            ],
        },
        "users": 1234,
        "users_left_out": 5,
        "items": 678,
        "features_md5": "0" * 32,
        "cuts": {"test_start": "2025-11-01T00:00:00+00:00"},
        "primary_k": 10,
        "bootstrap_samples": 500,
        "confidence": 0.95,
        "recommenders": recommenders,
        "comparisons": [
            {
                "name": one,
                "mean_challenger": ndcg[name],
                "mean_other": ndcg[one],
                "difference": ndcg[name] - ndcg[one],
                "low": ndcg[name] - ndcg[one] - 0.02,
                "high": ndcg[name] - ndcg[one] + 0.02,
                "p_value": 0.0123,
                "p_holm": 0.0246,
                "detectable": 0.0287,
            }
            for one in ("popularity", other)
        ],
        "segments": {
            name: {
                "users": users,
                "too_few": few,
                "ndcg": ndcg,
                "intervals": {
                    one: {"mean": mean, "low": mean - 0.03, "high": mean + 0.04} for one, mean in ndcg.items()
                },
            }
            for name, users, few in (("light_users", 1200, False), ("new_users", 7, True))
        },
        "popularity": {
            "catalogue": [0.5, 1.0],
            "bought": [0.75, 1.0],
            "shown": {one: [0.9, 1.0] for one in recommenders},
        },
    }


VALIDATION = {
    "success": True,
    "raw": 2000,
    "kept": 1990,
    "quarantined": 10,
    "quarantined_share": 0.005,
    "expected": 6,
    "expected_share": 0.003,
    "faulty": 4,
    "faulty_share": 0.002006,
    "quarantined_by_reason": {"duplicate": 10, "null_user": 0},
    "users": 40,
    "items": 30,
    "first_event": None,
    "last_event": None,
    "expectations": {"duplicate": {"success": False, "severity": "warning", "unexpected": 10}},
}
CURVES = {
    "epoch": [1.0, 2.0, 3.0],
    "g_loss": [3.0, 2.0, 1.0],
    "d_loss": [0.5, math.nan, 0.25],
    "validation_ndcg": [None, 0.25, None],
    "something_else": [1.0, 1.0, 1.0],
}


@pytest.fixture
def project(tmp_path):
    for path, content in {
        "data/evaluation/summary.json": summary(),
        "models/rcgan/recommender.json": {"best_epoch": 2, "alarms": {"win_rate": 3}, "settings": {}},
        "metrics/validation.json": VALIDATION,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/curves.csv").write_text("epoch,g_loss,d_loss\n1,2.5,nan\n2,1.5,\n")
    return tmp_path


def verdict(name="rcgan", version="3", promoted=False, reasons=("✓ One.", "✗ Two."), lineage=None, **more):
    return Verdict(
        "recgan", version, name, date(2026, 3, 5), promoted, reasons, lineage=lineage or {}, **more
    )


def tree(html):
    """The page as XML, which it is but for its first line."""
    return ElementTree.fromstring(html.partition("\n")[2])


def words(element):
    return " ".join("".join(element.itertext()).split())


# --- the page -------------------------------------------------------------------------------------------


def test_every_metric_of_the_page_is_that_of_metrics_evaluation_json():
    content = summary()
    flat = flat_metrics(content)
    found = tree(render(content)).find(".//table[@id='every-metric']")
    names = [words(cell).removesuffix(" (challenger)") for cell in found.findall("thead/tr/th")][1:]
    assert sorted(names) == sorted(content["recommenders"])
    shown = {
        f"{name}.{words(row.find('th')).replace('@', '_at_')}": words(cell)
        for row in found.findall("tbody/tr")
        for name, cell in zip(names, row.findall("td"), strict=True)
    }
    assert shown == {
        key: f"{value:.4f}"
        for key, value in flat.items()
        if key in shown or re.fullmatch(rf"\w+\.({'|'.join(METRICS)})_at_\d+", key)
    }


def test_means_and_intervals_stand_in_the_table_for_every_k():
    content = summary()
    html = render(content)
    for measured in content["recommenders"].values():
        for metric, interval in measured["intervals"].items():
            mean, low, high = (f"{interval[end]:.4f}" for end in ("mean", "low", "high"))
            assert f'{mean}<span class="range">{low} – {high}</span>' in html, metric


def test_segments_have_intervals_and_small_ones_are_marked():
    content = summary()
    html = render(content)
    found = tree(html)
    table = found.find(".//table[@id='every-segment']")
    names = [words(cell).removesuffix(" (challenger)") for cell in table.findall("thead/tr/th")][2:]
    rows = {words(row.find("th")): row.findall("td") for row in table.findall("tbody/tr")}
    assert {name: words(cells[0]) for name, cells in rows.items()} == {
        "light users": "1,200",
        "new users": "7too few to tell",
    }
    for name, part in content["segments"].items():
        for other, cell in zip(names, rows[name.replace("_", " ")][1:], strict=True):
            mean, low, high = (f"{part['intervals'][other][end]:.4f}" for end in ("mean", "low", "high"))
            assert words(cell) == f"{mean}{low} – {high}"
    captions = [words(one) for one in found.findall(".//section[@id='segments']//figcaption")]
    assert captions == [
        "Light users (1,200 users), NDCG@10",
        "New users (7 users: too few to tell), NDCG@10",
    ]
    charts = found.findall(f".//section[@id='segments']//{SVG}svg")
    for chart in charts:
        assert len([one for one in chart.iter(f"{SVG}line") if one.get("class") == "reach"]) == 3


def test_a_page_loads_nothing_and_names_no_other_place(project):
    html = page(project, verdict(promoted=True, live="3", lineage={"git.sha": "abc"}))
    for element in tree(html).iter():
        assert element.tag not in {"script", "link", "img", "iframe", "object", "embed", "base"}
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] in {"src", "href", "data", "action", "srcset"}:
                assert value.startswith("#")
    style = tree(html).find(".//style").text
    assert "@import" not in style
    assert "url(" not in style
    assert re.findall(r"https?://[^\"<\s]+", html) == ["http://www.w3.org/2000/svg"] * html.count("<svg ")


def test_every_chart_is_named_in_a_figure_and_every_table_has_headers(project):
    found = tree(page(project))
    charts = list(found.iter(f"{SVG}svg"))
    assert len(charts) >= 12
    assert len(list(found.iter("figure"))) == len(charts)
    for one in found.iter("figure"):
        assert one.find(f"{SVG}svg").get("role") == "img"
        assert one.find(f"{SVG}svg").get("aria-label") == words(one.find("figcaption"))
    for table in found.iter("table"):
        assert all(cell.get("scope") == "col" for cell in table.findall("thead/tr/th"))
        assert all(row.find("th").get("scope") == "row" for row in table.findall("tbody/tr"))
    targets = {element.get("id") for element in found.iter()}
    assert {link.get("href")[1:] for link in found.iter("a")} <= targets


def test_names_are_escaped_wherever_they_stand():
    evil = '<script>alert("&")</script>'
    html = render(
        summary(name=evil, other="<b>"),
        recommender={"settings": {"x": evil}, "alarms": {evil: 1}},
        curves={"epoch": [1.0, 2.0], evil: [1.0, 2.0]},
        validation={**VALIDATION, "quarantined_by_reason": {evil: 3}},
        verdict=verdict(evil, evil, False, [f"✗ {evil}"], {evil: evil}),
    )
    assert "<script" not in html.lower()
    assert "<b>&" not in html
    assert words(tree(html).find(".//h1")) == f"Not promoted: {evil}, 5 March 2026"


def test_every_candidate_is_told_with_what_became_of_it():
    content = summary()
    html, text = render(content), report(content)
    table = next(
        one for one in tree(html).iter("table") if words(one.find("caption")) == "Candidates of this training"
    )
    on_test = {name: one["metrics"] for name, one in content["recommenders"].items()}
    shown = {
        name: [f"{on_test[name]['ndcg_at_10']:.4f}", f"{on_test[name]['coverage_at_10']:.1%}"]
        for name in on_test
    }
    assert [[words(cell) for cell in row] for row in table.findall("tbody/tr")] == [
        ["rcgan the challenger", "0.3100", *shown["rcgan"]],
        ["popularity", "0.1100", *shown["popularity"]],
        ["ease", "–", *shown["ease"]],
        ["ials left out: 9 GiB are too many", "–", "–", "–"],
    ]
    rows = [
        ["rcgan", "rcgan", "0.3100", "the challenger"],
        ["popularity", "popularity", "0.1100", ""],
        ["ease", "ease", "–", ""],
        ["ials", "ials", "–", "left out: 9 GiB are too many"],
    ]
    for row in rows:
        assert re.search(r"\| *" + r" *\| *".join(map(re.escape, row)) + r" *\|", text)
    for content in (words(tree(html)), text):
        assert (
            "NDCG@10 0.5000 against 0.4000 on test, difference +0.1000 [+0.0500, +0.1500], p 0.0321"
            in content
        )
    alone = {**summary(), "adversarial": None}
    assert "best GAN" not in render(alone) + report(alone)


def replications(name="rcgan"):
    """What two windows, two seeds and an ablation leave in the summary; every figure occurs once."""
    pair = {
        "name": name,
        "mean_challenger": 0.31,
        "mean_other": 0.29,
        "difference": 0.02,
        "low": -0.01,
        "high": 0.05,
        "p_value": 0.0711,
        "p_holm": 0.1422,
        "detectable": 0.04,
    }
    skipped = {"window": 1, "test_start": "2025-10-18", "test_end": "", "candidate": name, "seed": 43}
    return {
        "windows": [
            {"window": 0, "test_start": "2025-11-01T00:00:00+00:00", "users": 1234},
            {"window": 1, "test_start": "2025-10-18T00:00:00+00:00", "users": 987},
        ],
        "seeds": 2,
        "candidates": [
            {
                "name": name,
                "ablated": ablated,
                "figures": [
                    {"window": 0, "seed": 42, "ndcg": 0.3},
                    {"window": 0, "seed": 43, "ndcg": 0.32},
                    {"window": 1, "seed": 42, "ndcg": 0.27},
                ],
                "mean": 0.2931,
                "sd_windows": 0.0283,
                "sd_seeds": None,
            }
            for ablated in (False, True)
        ],
        "skipped": [{**skipped, "ablated": False, "fingerprint": "f", "skipped": f"no memory for {name}"}],
        "pooled": [{**pair, "difference": 0.03, "p_holm": 0.2133}],
        "ablation": {"today": [pair], "pooled": [{**pair, "difference": 0.015}]},
    }


def test_windows_seeds_and_the_ablation_are_shown_where_they_were_asked_for():
    content = summary() | {"replications": replications()}
    page_words, text = words(tree(render(content))), report(content)
    for shown in (page_words, text):
        assert "2 test windows (users: 1,234, 987), 2 seeds" in shown
        assert "What the adversarial term adds" in shown
        assert "the same without: +0.0200 [-0.0100, +0.0500], 0.3100 against 0.2900, p 0.1422" in shown
        assert "+0.0150 [-0.0100, +0.0500]" in shown
        assert "left out: no memory for rcgan" in shown
    row = ["rcgan", "0.3100", "0.2700", "0.2931", "0.0283", "–"]
    assert re.search(r"\| *" + r" *\| *".join(map(re.escape, row)) + r" *\|", text)
    section = next(one for one in tree(render(content)).iter("section") if one.get("id") == "windows")
    lines = next(section.iter("table")).findall("tbody/tr")
    assert [words(cell) for cell in lines[0]] == row
    for nothing in (summary(), summary() | {"replications": None}):
        assert "Beyond one window" not in render(nothing) + report(nothing)
        assert "adversarial term" not in render(nothing) + report(nothing)
    evil = "<script>"
    assert evil not in render(summary() | {"replications": replications(evil)}).lower()


def test_what_is_missing_or_no_number_is_said():
    content = summary()
    ours, popular = (content["recommenders"][name] for name in ("rcgan", "popularity"))
    del popular["metrics"]["popularity_lift_at_10"]
    ours["metrics"]["ndcg_at_10"] = ours["intervals"]["ndcg_at_10"]["mean"] = math.nan
    content["comparisons"][0] |= {"difference": math.nan, "p_value": math.nan, "p_holm": math.nan}
    found = tree(render(content, curves=CURVES))
    table = {
        words(row.find("th")): [words(cell) for cell in row.findall("td")]
        for row in found.find(".//table[@id='every-metric']").findall("tbody/tr")
    }
    assert "not a number" in table["ndcg@10"]
    assert "–" in table["popularity_lift@10"]
    assert "nan" not in re.findall(r"[a-z]+", words(found).lower())
    assert "1 values are not a number and left out" in words(found)


def test_without_training_validation_and_gate_the_page_says_so():
    html = render({**summary(), "comparisons": [], "cuts": None})
    assert "There are no curves of this recommender." in html
    assert "There is no metrics/validation.json" in html
    assert "<code>make run</code> asks it" in html
    assert "Five shoppers" not in html
    assert "There is no other candidate to compare with." in html


def test_the_title_is_the_verdict_the_name_and_the_date(project):
    def titles(html):
        found = tree(html)
        return {words(found.find(".//h1")), words(found.find(".//title"))}

    assert titles(render(summary())) == {"Challenger rcgan, not judged yet"}
    dated = {
        **VALIDATION,
        "first_event": "2025-11-02T08:00:00+00:00",
        "last_event": "2025-12-31T23:59:25+00:00",
    }
    assert titles(render(summary(), validation=dated)) == {
        "Challenger rcgan, not judged yet, events to 31 December 2025"
    }
    for given, state, outcome in (
        (verdict(promoted=True, live="3", previous="2"), "Promoted", "3 is live now, in place of version 2."),
        (verdict(promoted=True, live="3"), "Promoted", "3 is live now."),
        (verdict(live="2"), "Not promoted", "3 does not go live; version 2 stays live."),
        (verdict(), "Not promoted", "3 does not go live; nothing is live."),
        (verdict(live="3"), "Live already", "3 was live before; nothing changed."),
    ):
        html = page(project, given)
        assert titles(html) == {f"{state}: rcgan, 5 March 2026"}
        assert f"recgan version {outcome}" in html


def test_the_verdict_shows_every_reason_and_the_lineage(project):
    html = page(project, verdict(lineage={"git.sha": "abc123", "git.dirty": "true"}))
    gate = tree(html).find(".//section[@id='gate']")
    assert [words(one) for one in gate.findall("ul/li")] == ["✗ Two."]
    assert [words(one) for one in gate.findall("details/ul/li")] == ["✓ One."]
    assert "git checkout abc123\n" in html
    assert "changes that this commit does not hold" in html


def test_headings_go_down_one_level_at_a_time_and_links_lead_somewhere(project):
    found = tree(page(project))
    levels = [int(one.tag[1]) for one in found.iter() if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for one in found.iter():
        if one.get("class", "").startswith("wide"):
            assert one.get("tabindex") == "0"
            assert one.get("aria-label")


def test_the_page_reads_curves_alarms_and_quality_of_the_project(project):
    html = page(project)
    assert "win rate crossed its line in epoch 3" in html
    assert "validation chose epoch 2" in html
    assert "0.30%" in html  # as expected
    assert "0.20%" in html  # of the rest, with a fault
    assert read_curves(project / "reports/curves.csv")["d_loss"][1] is None


def test_the_chosen_epoch_is_marked_unless_several_trainings_stand_on_end():
    one = {"epoch": [1.0, 2.0], "g_loss": [2.0, 1.0]}
    several = {"epoch": [1.0, 2.0], "g_loss": [2.0, 1.0], "teacher": [1.0, 2.0]}
    for curves, marked in ((one, True), (several, False)):
        html = render(summary(), recommender={"best_epoch": 2}, curves=curves)
        training = html[html.index('id="training"') : html.index('id="data"')]
        assert ('class="mark"' in training) == ("(dashed)" in training) == marked


def test_the_same_files_give_the_same_bytes(project):
    assert page(project) == page(project)


def test_an_evaluation_that_is_missing_or_torn_is_an_error(project):
    (project / "data/evaluation/summary.json").write_text("{}")
    with pytest.raises(RecganError, match="dvc repro evaluate"):
        page(project)
    (project / "data/evaluation/summary.json").unlink()
    with pytest.raises(RecganError, match="no evaluation in"):
        page(project)


# --- charts ---------------------------------------------------------------------------------------------


def chart(svg):
    return ElementTree.fromstring(svg)


def test_ticks_are_round_and_enclose():
    assert ticks(0.3, 9.2) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.013, 0.062) == pytest.approx([-0.02, 0, 0.02, 0.04, 0.06, 0.08])
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    for low, high in [(5, 5), (0, 0), (-3, -3), (1e-9, 2e-9), (1e6, 5e7)]:
        found = ticks(low, high)
        assert found[0] <= low
        assert found[-1] >= high
        assert 2 <= len(found) <= 7


def test_a_scale_is_linear():
    assert [Scale(0, 10, 100, 300)(value) for value in (0, 5, 10)] == [100, 200, 300]


def test_a_line_goes_through_its_points():
    # Ticks 0, 2 … 10 over heights 196 to 12, epochs 1 to 3 from the left margin (2 letters + 12) to 436.
    svg = chart(line_chart([Line("loss", [1, 2, 3], [0.0, 5.0, 10.0], 0)], "Loss", "epoch"))
    left = 2 * 8.6 + 12
    middle = (left + 436) / 2
    assert svg.find(f".//{SVG}polyline").get("points") == (f"{left:.1f},196.0 {middle:.1f},104.0 436.0,12.0")
    assert [words(title) for title in svg.iter(f"{SVG}title")][1:] == [
        *("loss at 1: 0", "loss at 2: 5", "loss at 3: 10"),
    ]


def test_a_line_goes_on_where_nobody_measured_and_stops_at_what_is_no_number():
    def pieces(y):
        svg = chart(line_chart([Line("loss", range(5), y, 0)], "Loss", "epoch"))
        return [len(one.get("points").split()) for one in svg.iter(f"{SVG}polyline")]

    assert pieces([0, None, 1, None, 2]) == [3]
    assert pieces([0, 1, math.nan, 3, 4]) == [2, 2]
    assert pieces([math.nan] * 5) == []


def test_an_interval_lies_where_its_figures_are():
    # Ticks 0, 1 … 5; names and figures of one and six letters leave 8.6 + 24 to 460 - 6 · 8.6 - 18.
    svg = chart(interval_chart([Row("a", 2.5, 0.0, 5.0)], "A", reference=0.0))
    start, end = 8.6 + 24, 460 - 6 * 8.6 - 18
    reach, dot = svg.find(f".//{SVG}g/{SVG}line"), svg.find(f".//{SVG}circle")
    assert (reach.get("x1"), reach.get("x2")) == (f"{start:.1f}", f"{end:.1f}")
    assert (dot.get("cx"), dot.get("cy")) == (f"{(start + end) / 2:.1f}", "21.0")
    assert words(svg.find(f".//{SVG}title")) == "a: 2.5000 [0.0000, 5.0000]"
    assert words(svg.find(f"{SVG}desc")) == "a: 2.5000 [0.0000, 5.0000]"


def test_a_row_without_a_number_has_no_dot_but_a_word():
    svg = chart(interval_chart([Row("a", math.nan, math.nan, 1.0), Row("b", None), Row("c", 1.0)], "A"))
    assert len(list(svg.iter(f"{SVG}circle"))) == 1
    assert [words(text) for text in svg.iter(f"{SVG}text") if text.get("class") == "digits ours"] == [
        *("not a number", "–", "1.0000"),
    ]


def test_bars_are_as_long_as_their_figures_and_start_at_zero():
    svg = chart(bar_chart([Row("a", 4), Row("b", 1), Row("c", -4)], "A"))
    a, b, c = svg.iter(f"{SVG}rect")
    assert float(a.get("width")) == pytest.approx(4 * float(b.get("width")), abs=0.3)
    assert (
        float(a.get("x"))
        == float(b.get("x"))
        == pytest.approx(float(c.get("x")) + float(c.get("width")), abs=0.2)
    )
    assert len(list(chart(bar_chart([Row("a", 0)], "A")).iter(f"{SVG}rect"))) == 1


def test_points_lie_where_their_figures_are_and_names_do_not_cover_each_other():
    # Ticks 0, 1 … 5 across, 0 to 5 up from 236 to 34.
    points = [Point("first", 0, 0, 0), Point("second", 5, 5, 1), Point("third", 4.9, 5, 2)]
    svg = chart(point_chart(points, "A", "x", "y"))
    first, second, third = svg.iter(f"{SVG}circle")
    assert (first.get("cy"), second.get("cy"), second.get("cx")) == ("236.0", "34.0", "434.0")
    names = {words(t): t for t in svg.iter(f"{SVG}text")}
    assert names["second"].get("y") != names["third"].get("y")
    assert third.get("cx") < second.get("cx")


def test_points_that_are_no_numbers_are_named():
    svg = point_chart([Point("a", math.nan, 1, 0), Point("b", 1, 1, 1)], "A", "x", "y")
    assert "not a number: a" in svg
    assert svg.count("<circle") == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (math.nan, "not a number"), (math.inf, "not a number"), (1234.5, "1,234.5000")],
)
def test_a_figure_for_people(value, shown):
    assert figure(value) == shown


def test_popularity_shares_by_hand():
    # In order of popularity the items are 2, 0, 1, 3 (0 before 1 by position); shown 1, 6, 2 and 1 times.
    shares = popularity_shares(np.array([6, 2, 1, 1]), np.array([5, 5, 9, 1]), 4)
    assert shares == pytest.approx([0.1, 0.7, 0.9, 1.0])
    assert popularity_shares(np.zeros(4, int), np.arange(4), 2) == [0, 0]


def test_every_template_travels_with_the_package():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = ROOT / "src/recgan"
    packed = {path for pattern in patterns["recgan"] for path in package.glob(pattern)}
    templates = set(package.rglob("*.jinja"))
    assert templates
    assert templates <= packed


def test_no_template_is_longer_than_anybody_reads():
    for path in (ROOT / "src/recgan").rglob("*.jinja"):
        assert len(path.read_text().splitlines()) <= 300, path


@pytest.mark.parametrize(
    ("out", "groups", "says"),
    [
        (27, 3, "27 of 2,100 accounts were left out as fake: 3 groups."),
        (1, 0, "1 of 2,100 accounts was left out as fake."),
        (0, 0, "No account of 2,100 was left out as fake."),
        (None, 0, None),
    ],
)
def test_a_line_tells_of_fake_accounts_and_leads_to_their_page(project, out, groups, says):
    if out is not None:
        screening = {"accounts": 2100, "quarantined": out, "groups": groups}
        (project / "metrics/screening.json").write_text(json.dumps(screening))
    found = tree(page(project))
    links = found.findall(".//a[@href='screening.html']")
    assert [words(one) for one in links] == ([] if says is None else ["reports/screening.html"])
    assert says is None or says in words(found)

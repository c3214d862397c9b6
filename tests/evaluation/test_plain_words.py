"""The evaluation in a few sentences: each figure is that of the summary."""

import math

import pytest

from recgan.evaluation.page import render
from recgan.evaluation.plain_words import Champion, besides, lead, luck, whole
from tests.evaluation.test_report import summary, tree, verdict, words


def told(**hit_rates):
    """A summary with these hit rates; rcgan is the challenger, ease the best other, by NDCG."""
    content = summary()
    for name, ndcg in (("rcgan", 0.3), ("ease", 0.2), ("popularity", 0.1)):
        metrics = content["recommenders"][name]["metrics"]
        metrics |= {"ndcg_at_10": ndcg, "hr_at_10": hit_rates[name]}
    for one in content["comparisons"]:
        one["difference"] = 0.3 - content["recommenders"][one["name"]]["metrics"]["ndcg_at_10"]
    by_name = {one["name"]: one for one in content["comparisons"]}
    by_name["popularity"]["p_holm"], by_name["ease"]["p_holm"] = 0.0004, 0.31
    return content


USUAL = {"rcgan": 0.418, "ease": 0.402, "popularity": 0.236}
CHAMPION = Champion("2", 0.389, 0.01, 0.012, 0.05)


def test_how_many_of_a_hundred_shoppers_find_something():
    content = told(**USUAL)
    assert lead(content, "rcgan", besides(content, "rcgan", CHAMPION)) == (
        "Of 100 shoppers, 42 find something that they later choose among 10 products. "
        "With the champion version 2 it is 39, with ease it is 40, with best sellers alone it is 24."
    )
    rare = told(rcgan=0.0123, ease=0.0095, popularity=0.002)
    others = besides(rare, "rcgan")
    assert whole(rare, "rcgan", others) == 1000
    assert lead(rare, "rcgan", others).startswith("Of 1,000 shoppers, 12 find")
    nobody = told(rcgan=math.nan, ease=0.1, popularity=0.1)
    assert "not a number" in lead(nobody, "rcgan", besides(nobody, "rcgan"))


@pytest.mark.parametrize(
    ("difference", "p", "retraining", "said"),
    [
        (0.01, 0.012, False, "It is better than {} (p 0.012) and best sellers alone (p < 0.001)"),
        (-0.01, 0.012, False, "; it is worse than {} (p 0.012) by more than luck"),
        (0.01, 0.2, False, "whether it is better than {} (p 0.200) and ease (p 0.310) cannot be told"),
        (-0.01, 0.012, True, "; as a retraining of {} (p 0.012) it is no worse"),
        (0.01, 0.2, True, "as a retraining of {} (p 0.200) it is not shown to be no worse"),
    ],
)  # fmt: skip
def test_whether_it_is_luck_in_one_sentence(difference, p, retraining, said):
    content = told(**USUAL)
    champion = Champion("2", 0.389, difference, p, 0.05, retraining)
    sentence = luck(content["users"], besides(content, "rcgan", champion))
    assert said.format("the champion version 2") in sentence
    assert sentence.count(".") == sentence.count("0.") + 1  # one sentence
    assert "than ease (p 0.310)" in sentence or "and ease (p 0.310)" in sentence


def test_another_candidate_is_compared_with_the_challenger_alone():
    content = told(**USUAL)
    assert [(one.name, one.outcome) for one in besides(content, "ease")] == [
        ("rcgan", "unclear"),
        ("best sellers alone", None),
    ]
    content["comparisons"][1]["p_holm"] = 0.001
    assert besides(content, "ease")[0].outcome == "worse"  # the challenger is ahead
    alone = {**content, "comparisons": []}
    assert luck(10, besides(alone, "rcgan")) == "There is nothing to compare it with."


def test_the_page_says_the_same_and_draws_it():
    content = told(**USUAL)
    found = tree(render(content, verdict=verdict(promoted=True, live="3", previous="2", champion=CHAMPION)))
    assert words(found.find(".//p[@class='lead']")) == lead(
        content, "rcgan", besides(content, "rcgan", CHAMPION)
    )
    rows = found.findall(".//table[@class='bars']/tbody/tr")
    assert [(words(row.find("th")), words(row.findall("td")[1])) for row in rows] == [
        *(("rcgan", "42"), ("the champion version 2", "39"), ("ease", "40"), ("best sellers alone", "24")),
    ]
    bars = [row.find("td/div").get("style") for row in rows]
    assert bars[0] == "width: 100.0%"
    assert bars[3] == f"width: {100 * 0.236 / 0.418:.1f}%"
    unknown = Champion("2", None, 0.01, 0.2, 0.05)
    html = render(content, verdict=verdict(live="2", champion=unknown))
    assert "not known" in html

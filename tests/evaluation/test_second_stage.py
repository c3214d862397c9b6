"""What a discriminator earns beside its ablations."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recgan.evaluation.second_stage import earned_rows, second_stages
from recgan.evaluation.settings import EvaluateParams
from recgan.features.matrices import Features, HeldOut

PARAMS = EvaluateParams(
    k=(2,),
    primary_k=2,
    bootstrap_samples=200,
    confidence=0.95,
    seed=0,
    head_share=0.2,
    new_item_days=28,
    windows=1,
    seeds=1,
    ablation=False,
)


class Fixed:
    def __init__(self, scores):
        self.scores = np.array(scores, dtype=np.float32)

    def score(self, user_items, ages=None):
        return np.tile(self.scores, (user_items.shape[0], 1))


def test_the_candidate_is_compared_with_what_stands_beside_it_and_with_nothing_else():
    held_out = csr_array(np.tile([[0, 0, 1, 0]], (30, 1)).astype(np.float32))
    nothing = csr_array((30, 4), dtype=np.float32)
    test = HeldOut(np.array([f"u{n}" for n in range(30)], dtype=object), nothing, held_out)
    features = Features(
        nothing, nothing, test.user_ids, pd.DataFrame(), None, test, {"repeat_purchases": False}
    )
    rankings = {"ease": np.zeros((30, 2), np.int32), "two": np.tile(np.int32([2, 0]), (30, 1))}
    beside = {"uniform": Fixed([3, 1, 2, 0]), "generator": Fixed([3, 2, 1, 0])}
    figures = {"two": {"uniform": 0.5, "generator": None}, "left_out": {}}
    found = second_stages(rankings, features, figures, lambda name: beside, PARAMS)
    assert [one["name"] for one in found] == ["two"]
    means = {one["name"]: (one["mean_challenger"], one["mean_other"]) for one in found[0]["comparisons"]}
    assert means == {"uniform": (1, pytest.approx(1 / np.log2(3))), "generator": (1, 0)}
    summary = {
        "primary_k": 2,
        "candidates": [{"name": "two", "validation_ndcg": 0.75}],
        "second_stages": found,
    }
    head, rows = earned_rows(summary)
    assert [len(row) for row in rows] == [len(head)] * 3
    assert rows[0][:4] == ["two", "", "0.7500", "1.0000"]
    assert rows[1][:4] == ["two", "the same with fakes drawn uniformly", "0.5000", "0.6309"]
    assert rows[2][:4] == ["two", "the generator alone", "–", "0.0000"]
    assert earned_rows({"primary_k": 2, "candidates": []})[1] == []

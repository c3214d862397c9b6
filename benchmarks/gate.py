"""How often the gate errs, on per-user figures of the simulated shop: python benchmarks/gate.py.

Three pairs of recommenders are fitted on the shop of examples/shop.yaml. Each simulated night draws users of
its test window and, of each, which of the two is the challenger's figure. So the two are equal, as far as
anything can tell, and correlated as they really are. A worse challenger misses all of some users' items.
Every night goes through the comparisons and the decision of the gate itself, popularity as the floor.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan import stages
from recgan.evaluation.settings import EvaluateParams
from recgan.features.matrices import Features, read_features
from recgan.package.evidence import compared
from recgan.package.gate import FLOOR, Evidence, decide
from recgan.recommenders.ease.recommender import EASE
from recgan.recommenders.ials.recommender import IALS
from recgan.recommenders.popularity.recommender import Popularity
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.settings import GateParams, Params, load_with_base

SHOP = Path(__file__).parents[1] / "examples" / "shop.yaml"
Figures = NDArray[np.float64]


class Pair(NamedTuple):
    """Per-user NDCG of two recommenders and of popularity, of the same users."""

    one: Figures
    other: Figures
    popularity: Figures


class Case(NamedTuple):
    """A kind of night."""

    loss: float
    """Share of its mean that the challenger has lost."""
    same: bool
    """Whether it is a retraining of the champion."""
    gate: GateParams
    counts: bool
    """The decision whose share is shown: promoted or refused."""


def make_features(root: Path) -> Features:
    """Bring the shop's stages up to the features."""
    (root / "params.yaml").write_text(SHOP.read_text(encoding="utf-8"), encoding="utf-8")
    for stage in (stages.ingest, stages.validate, stages.features):
        stage(root)
    return read_features(root / "data" / "features")


def a_day_before(features: Features) -> csr_array:
    """Return train + validation without its newest day."""
    times = features.train_validation_times
    assert times is not None
    before = features.train_validation.copy()
    before.data[times > times.max() - 1] = 0
    before.eliminate_zeros()
    return before


def make_pairs(features: Features, params: Params, epochs: int) -> dict[str, Pair]:
    """Fit the recommenders and measure them on the test users with something held out."""
    came = features.test.came()
    rows = np.flatnonzero(np.diff(came.indptr))
    history, held_out = csr_array(features.test.history[rows]), csr_array(came[rows])
    k, whole = params.evaluate.primary_k, features.train_validation

    def measured(recommender: Recommender) -> Figures:
        return ndcg(recommend(recommender, history, k)[0], held_out, k)

    def trained(seed: int) -> Figures:
        settings = RCGANParams.model_validate(params.candidates["rcgan"].model_dump() | {"seed": seed})
        return measured(RCGAN(settings, critic_share=0.5).fit(whole, epochs=epochs))

    popularity, ease = measured(Popularity().fit(whole)), measured(EASE(200).fit(whole))
    return {
        "RC-GAN, two seeds": Pair(trained(1), trained(2), popularity),
        "EASE, a day later": Pair(ease, measured(EASE(200).fit(a_day_before(features))), popularity),
        "EASE and iALS": Pair(ease, measured(IALS(32, 20, 2, 15, 0).fit(whole)), popularity),
    }


def night(pair: Pair, users: int, loss: float, rng: np.random.Generator) -> tuple[Figures, Figures, Figures]:
    """Draw challenger, champion and popularity; the challenger's mean is (1 - loss) of the champion's."""
    drawn = rng.integers(0, len(pair.one), users)
    swapped = rng.random(users) < 0.5
    one, other = pair.one[drawn], pair.other[drawn]
    challenger = np.where(swapped, other, one) * (rng.random(users) >= loss)
    return challenger, np.where(swapped, one, other), pair.popularity[drawn]


def promoted(
    pair: Pair, users: int, case: Case, rng: np.random.Generator, settings: EvaluateParams
) -> tuple[bool, bool]:
    """Let the gate decide on one night; return whether it promotes, and whether the floor is passed."""
    challenger, champion, popularity = night(pair, users, case.loss, rng)
    comparisons, retraining = compared(
        challenger, {FLOOR: popularity}, champion, case.same, case.gate.max_loss, settings
    )
    decision = decide(
        Evidence(
            version="2",
            candidate="challenger",
            champion_version="1",
            primary_k=settings.primary_k,
            users=users,
            expectations_passed=True,
            comparisons=comparisons,
            coverage=1,
            smoke_error=None,
            champion_same=case.same,
            retraining=retraining,
        ),
        case.gate,
    )
    floor = any(reason.startswith(f"✓ The challenger beats {FLOOR}") for reason in decision.reasons)
    return decision.promote, floor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nights", type=int, default=400)
    parser.add_argument("--samples", type=int, default=400, help="of each bootstrap")
    parser.add_argument("--users", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--epochs", type=int, default=30, help="of each RC-GAN")
    options = parser.parse_args()
    params = load_with_base(SHOP)
    with tempfile.TemporaryDirectory(prefix="recgan-") as folder:
        pairs = make_pairs(make_features(Path(folder)), params, options.epochs)
    settings = params.evaluate.model_copy(update={"bootstrap_samples": options.samples})
    gate = params.register_.gate
    wide = gate.model_copy(update={"max_loss": 2 * gate.max_loss})
    small, large = gate.max_loss, wide.max_loss
    cases: dict[str, Case] = {
        "another, equal: switched": Case(0, False, gate, True),
        "retraining, equal: refused": Case(0, True, gate, False),
        f"worse by {small:g}: let through": Case(small, True, gate, True),
        f"worse by {2 * small:g}: let through": Case(2 * small, True, gate, True),
        f"max_loss {large:g}: equal refused": Case(0, True, wide, False),
        f"max_loss {large:g}: worse by {2 * large:g} let through": Case(2 * large, True, wide, True),
    }
    now = f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"{now}: {options.nights} nights each, {options.samples} samples, alpha {gate.alpha:g}")
    for name, pair in pairs.items():
        print(
            f"{name}: {len(pair.one):,} users, NDCG@{settings.primary_k} {pair.one.mean():.4f} and "
            f"{pair.other.mean():.4f}, popularity {pair.popularity.mean():.4f}, correlation "
            f"{np.corrcoef(pair.one, pair.other)[0, 1]:.3f}, {np.mean(pair.one == pair.other):.1%} equal, "
            f"{np.mean(pair.one == 0):.1%} without a hit"
        )
    print("| " + " | ".join(["pair", "users", *cases, "equal: floor not passed"]) + " |")
    print("|---|" + "---:|" * (len(cases) + 2))
    for name, pair in pairs.items():
        for users in options.users:
            rng, shares, floors = np.random.default_rng(users), [], []
            for case in cases.values():
                found = [promoted(pair, users, case, rng, settings) for _ in range(options.nights)]
                shares.append(np.mean([passed == case.counts for passed, _ in found]))
                floors += [not floor for _, floor in found] if not case.loss else []
            cells = " | ".join(f"{share:.3f}" for share in [*shares, np.mean(floors)])
            print(f"| {name} | {users:,} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

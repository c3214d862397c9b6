"""The rules of the shop in the positions of one version."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from recgan.newcomers.assortment import Assortment, Trait
from recgan.online.filling import Limit, Pinned, Scores, Variety
from recgan.online.ordering import Bound
from recgan.online.rules import HARD, Blacklist, Boost, Cap, NotAgain, OutOfStock, Pin, Rule
from recgan.online.rules import Variety as VarietyRule
from recgan.recommenders.approximate import Factored
from recgan.recommenders.widened import Widened

_Chosen = OutOfStock | Blacklist | Boost


def bind(rules: Sequence[Rule], assortment: Assortment) -> Bound:
    """Return the rules that hold, in the positions of a version and its new products."""
    n_items, n_known = len(assortment.item_ids), len(assortment.packaged.item_ids)
    hard: dict[int, str] = {}
    boosts, boosted = np.zeros(n_items, dtype=np.float32), dict[int, str]()
    for rule in rules:
        if isinstance(rule, HARD):
            for position in about(rule, assortment):
                hard.setdefault(position, rule.name)
        elif isinstance(rule, Boost):
            positions = about(rule, assortment)
            boosts[positions] += np.float32(rule.deviations)
            for position in positions:
                boosted.setdefault(position, rule.name)
    never = np.array(sorted(hard), dtype=np.int32)
    return Bound(
        hard=never,
        hard_by=[hard[position] for position in never.tolist()],
        boosts=boosts if boosted else None,
        boosted=boosted,
        pins=_pins(rules, assortment, hard),
        limits=[_limit(rule, assortment) for rule in rules if isinstance(rule, Cap)],
        variety=next((_variety(rule, assortment) for rule in rules if isinstance(rule, VarietyRule)), None),
        not_again=next((rule for rule in rules if isinstance(rule, NotAgain)), None),
        unknown_items=sum(unknown(rule, assortment) for rule in rules),
        hard_known=int((never < n_known).sum()),
        new=_new(assortment),
    )


def about(rule: _Chosen, assortment: Assortment) -> list[int]:
    """Return the positions of what a rule names, each once."""
    found = dict.fromkeys(at for one in rule.items if (at := assortment.position(one)) is not None)
    kinds: tuple[tuple[Trait, list[str]], ...] = (("category", rule.categories), ("brand", rule.brands))
    for kind, values in kinds:
        if values:
            found |= dict.fromkeys(np.flatnonzero(np.isin(*_codes(values, kind, assortment))).tolist())
    return list(found)


def unknown(rule: Rule, assortment: Assortment) -> int:
    """Return how many of the ids that a rule names the version does not know."""
    named: Iterable[str] = chain(getattr(rule, "items", ()), (rule.item,) if isinstance(rule, Pin) else ())
    return sum(not assortment.knows(one) for one in named)


def _codes(values: Sequence[str], kind: Trait, assortment: Assortment) -> tuple[NDArray[np.int32], list[int]]:
    named, codes = assortment.trait(kind)
    return codes, [named[one] for one in values if one in named]


def _pins(rules: Sequence[Rule], assortment: Assortment, hard: dict[int, str]) -> list[Pinned]:
    found = []
    for rule in rules:
        position = assortment.position(rule.item) if isinstance(rule, Pin) else None
        if isinstance(rule, Pin) and position is not None and position not in hard:
            categories = None if rule.categories is None else frozenset(rule.categories)
            found.append(Pinned(rule.name, position, rule.place - 1, categories))
    return sorted(found, key=lambda pin: pin.place)  # stable: of two at one place the first has it


def _limit(rule: Cap, assortment: Assortment) -> Limit:
    codes = assortment.trait(rule.per)[1]
    if rule.only is not None:
        codes = np.where(np.isin(*_codes(rule.only, rule.per, assortment)), codes, -1).astype(np.int32)
    return Limit(rule.name, codes, rule.at_most)


def _variety(rule: VarietyRule, assortment: Assortment) -> Variety:
    new = assortment.newcomers
    kinds: tuple[Trait, ...] = ("category", "brand")
    traits = [codes for kind in kinds if (codes := assortment.trait(kind)[1]).max(initial=-1) >= 0]
    return Variety(
        rule.name,
        rule.relevance,
        _vectors(assortment),
        None if new is None else (new.stand_ins, new.stand_in_shares),
        traits,
    )


def _vectors(assortment: Assortment) -> Scores | None:
    """Return the vectors of the items (known items, width), where the recommender has some."""
    recommender = assortment.packaged.recommender
    inner = recommender.recommender if isinstance(recommender, Widened) else recommender
    if not isinstance(inner, Factored) or not isinstance(recommender, Factored):
        return None
    found = np.asarray(recommender.item_vectors(), dtype=np.float32)
    missing = len(assortment.packaged.item_ids) - len(found)
    return np.pad(found, ((0, missing), (0, 0))) if missing > 0 else found


def _new(assortment: Assortment) -> tuple[NDArray[np.int32], float] | None:
    if assortment.newcomers is None:
        return None
    codes = np.full(len(assortment.item_ids), -1, dtype=np.int32)
    codes[len(assortment.packaged.item_ids) :] = 0
    return codes, assortment.newcomers.max_share

"""What the rules of the shop are about, in words, and what they took out of a list."""

from recgan.online.binding import about, unknown
from recgan.online.ordering import Applied
from recgan.online.rules import Blacklist, Boost, Cap, NotAgain, OutOfStock, Pin, Rule
from recgan.serving.explorer.schema import MAX_RULES_SHOWN, Ruled, RuleShown
from recgan.serving.explorer.search import known
from recgan.serving.model import ServedModel
from recgan.serving.ranking import Ranking
from recgan.serving.rules import RulesWatch


def rules_shown(watch: RulesWatch, served: ServedModel) -> list[RuleShown]:
    """Say what each rule does, those that do not hold now too."""
    active = set(map(id, watch.active))
    return [
        RuleShown(
            name=rule.name,
            kind=rule.kind.replace("_", " "),
            does=_does(rule, served),
            holds=id(rule) in active,
            since=rule.since,
            until=rule.until,
            unknown_items=unknown(rule, served),
        )
        for rule in watch.rules.rules[:MAX_RULES_SHOWN]
    ]


def taken_out(served: ServedModel, rules: Applied, without: Ranking, shown: Ranking) -> list[Ruled]:
    """Return what a list would have without the rules, and which of them has taken it out.

    Args:
        served: who answers.
        rules: of the request.
        without: the list without rules.
        shown: the list.
    """
    there = {item.item_id for item in shown.items}
    held = set(rules.held.tolist())
    found = []
    for place, item in enumerate(without.items, start=1):
        position = served.position(item.item_id)
        if item.item_id in there or position is None:
            continue
        rule = rules.bound.why_left_out(position)
        if rule is None and position in held and rules.bound.not_again is not None:
            rule = rules.bound.not_again.name
        found.append(Ruled(**known(served, position).model_dump(), before=place, rule=rule))
    return found


def _does(rule: Rule, served: ServedModel) -> str:
    if isinstance(rule, Pin):
        position = served.position(rule.item)
        title = None if position is None else served.described(position).title
        where = "" if rule.categories is None else f" of lists of {_named(rule.categories)}"
        return f"puts {title or rule.item} at place {rule.place}{where}"
    if isinstance(rule, Cap):
        of = f"each {rule.per}" if rule.only is None else f"each of {_named(rule.only)}"
        return f"lists at most {rule.at_most:,} of {of}"
    if isinstance(rule, NotAgain):
        return f"rests an item for {rule.hours:g} h that {rule.impressions:,} answers showed in vain"
    if isinstance(rule, OutOfStock | Blacklist):
        return f"never shows {_items(rule, served)}"
    if isinstance(rule, Boost):
        verb = "lifts" if rule.deviations > 0 else "lowers"
        return f"{verb} {_items(rule, served)} by {abs(rule.deviations):g} standard deviations of the scores"
    return f"sets unlike items beside each other, {rule.relevance:.0%} by score"


def _items(rule: OutOfStock | Blacklist | Boost, served: ServedModel) -> str:
    number = len(about(rule, served))
    return f"{number:,} {'item' if number == 1 else 'items'}"


def _named(values: list[str]) -> str:
    few = ", ".join(values[:3])
    return few if len(values) <= 3 else f"{few} and {len(values) - 3:,} more"

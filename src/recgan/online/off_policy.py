"""What a version would be worth to shoppers, from the log of what others have answered."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recgan.core import layout
from recgan.core.errors import RecganError, Unavailable
from recgan.core.files import write_json, write_text
from recgan.data.impressions import logged
from recgan.evaluation.exploration_settings import OffPolicyParams
from recgan.online.answers import Answers, items_of, read_answers, seen_of
from recgan.online.estimators import Estimate
from recgan.online.judging import DECIDES, Judged, enough, judge_all
from recgan.online.policies import Form
from recgan.online.version_lists import Way, lists_of
from recgan.package.lineage import SPLIT
from recgan.package.packaged import PackagedRecommender
from recgan.package.store import load_version
from recgan.registry.outage import outside
from recgan.registry.promotion import REASONS
from recgan.registry.tracking import CHALLENGER, connect, current
from recgan.registry.versions import the_champion
from recgan.settings import Params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OffPolicy:
    """A version's value, and what it was estimated from."""

    name: str
    version: str
    way: Way
    since: datetime
    trained_until: datetime
    """The version was trained on nothing after it."""
    drawn: int
    """Answers that it was estimated from."""
    left_out: dict[str, int]
    """Why → how many drawn answers."""
    compared: int
    """Answers that it was compared with."""
    support: float
    judged: tuple[Judged, ...]


@outside()
def off_policy(
    root: Path, params: Params, version: str | None = None, days: float | None = None, way: Way = "best"
) -> OffPolicy:
    """Estimate what a version would be worth, and write reports/off_policy.json and .md.

    Args:
        root: the project.
        params: of the project.
        version: of the registered model; None for the challenger, or the champion without one.
        days: how far to look back; None as far as the version was trained on nothing.
        way: how the version would answer.

    Raises:
        RecganError: there is no such version, or no drawn answer that it was not trained on.
        Unavailable: the store does not answer.
    """
    name, client = params.register_.name, connect(root)
    if version is None:
        found = current(client, name, CHALLENGER) or the_champion(client, name)
    else:
        try:
            found = client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise RecganError(f"{name} has no version {version}; make ui shows those that it has") from None
    number = str(found.version)
    trained_until = held_out_from(found)
    since = trained_until
    if days is not None:
        since = max(since, datetime.now(UTC) - timedelta(days=days))
    answers = read_answers(logged(root, name), since)
    packaged = load_version(name, number)
    answers, answered, left_out = rebuilt(name, answers, {number: packaged})
    if not len(answers.drawn):
        raise RecganError(_nothing(name, number, since, trained_until, left_out, params.serve.explore.share))
    items = items_of(answers, packaged.item_ids.tolist())
    seed = params.evaluate.seed
    target = lists_of(packaged, answers.drawn, answered, way, params.serve.explore, items, seed)
    seen = seen_of(answers, items)
    result = OffPolicy(
        name,
        number,
        way,
        since,
        trained_until,
        len(answers.drawn),
        left_out,
        len(answers.best) if way == "best" else len(answers.drawn),
        target.support(seen.logged),
        tuple(judge_all(target, seen, params.off_policy, params.evaluate)),
    )
    content = asdict(result) | {"since": since.isoformat(), "trained_until": trained_until.isoformat()}
    # What there is no answer for is NaN, which JSON has not.
    without = json.loads(json.dumps(content), parse_constant=lambda _: None)
    write_json(root / layout.OFF_POLICY_REPORT, without)
    write_text(root / layout.OFF_POLICY_TEXT, as_markdown(result, params))
    return result


def held_out_from(version: ModelVersion) -> datetime:
    """Return the instant after which a version was trained on nothing.

    What came of an answer before it may be what the version has learned from, which would flatter it. Where
    a split is none in time, it is when the version was registered.
    """
    split = json.loads(version.tags.get(SPLIT, "{}"))
    if split.get("kind") == "time":
        return datetime.fromisoformat(split["trained_until"])
    return datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)


def rebuilt(
    name: str, answers: Answers, known: dict[str, PackagedRecommender]
) -> tuple[Answers, dict[str, PackagedRecommender], dict[str, int]]:
    """Return the answers whose requests can be asked again, the packages that answered, and what is left out.

    Args:
        name: of the registered model.
        answers: all.
        known: packages that are loaded already, by version.
    """
    drawn = answers.drawn
    left_out = {"something moved items after the draw": answers.moved}
    named = pc.is_valid(drawn["user_id"])
    answered = dict(known)
    for version in sorted(set(drawn.filter(named)["version"].to_pylist()) - set(known)):
        try:
            answered[version] = load_version(name, version)
        except MlflowException as error:
            log.warning("version %s of %s is gone (%s)", version, name, error.error_code)
    there = pc.is_in(drawn["version"], pc.cast(list(answered), drawn["version"].type))
    asked_again = pc.or_(pc.invert(named), there)
    again = drawn.filter(asked_again)
    left_out["the version that answered is gone, and with it the shopper's history of then"] = len(
        drawn
    ) - len(again)
    kept = Answers(again, answers.best, answers.feedback, answers.moved)
    return kept, answered, {why: number for why, number in left_out.items() if number}


def _nothing(
    name: str, version: str, since: datetime, until: datetime, left_out: dict[str, int], share: float
) -> str:
    why = "".join(f"; {number:,} answers are left out: {reason}" for reason, number in left_out.items())
    remedy = (
        "set serve.explore.share in params.yaml to 0.05, say, and start the server anew"
        if share == 0
        else "wait for the server to draw some"
    )
    return (
        f"the log of {name} has no drawn answer since {since:%Y-%m-%d %H:%M} that version {version} could be "
        f"judged by (it was trained on what came before {until:%Y-%m-%d %H:%M}){why}; {remedy}"
    )


DEPENDS: dict[Form, str] = {"independent": "item and place", "cascade": "the items above too"}
"""On what an event depends, by each form's assumption."""
NOTE = "· Before any traffic, for information:"
"""How a version's reasons begin that are estimates."""


@outside()
def noted(root: Path, params: Params, version: str) -> tuple[str, ...]:
    """Estimate what a version would be worth, for its reasons in the registry; empty without a log.

    Nothing depends on it: a log that says nothing, or is damaged, is a warning.

    Args:
        root: the project.
        params: of the project.
        version: of the registered model.

    Raises:
        Unavailable: the store does not answer.
    """
    name = params.register_.name
    if params.serve.explore.share == 0 or not (logged(root, name) / "shown").is_dir():
        return ()
    try:
        result = off_policy(root, params, version)
    except Unavailable:
        raise
    except RecganError as fault:
        log.warning("%s version %s is not judged before any traffic: %s", name, version, fault)
        return ()
    notes = tuple(f"{NOTE} {sentence(result, one)}" for one in result.judged)
    client = connect(root)
    told = client.get_model_version(name, version).tags.get(REASONS, "").split("\n")
    kept = [reason for reason in told if reason and not reason.startswith(NOTE)]
    client.set_model_version_tag(name, version, REASONS, "\n".join([*kept, *notes]))
    return notes


def sentence(result: OffPolicy, one: Judged) -> str:
    """Say in one sentence what was found in one kind of event."""
    what = "the best" if result.way == "best" else "drawn"
    if one.verdict == "refused":
        return f"{one.kind}: not judged: {one.reason}."
    found = one.deciding
    return (
        f"{one.kind}: {one.verdict}. {found.value:.4g} an answer ({found.low:.4g} to {found.high:.4g}) "
        f"beside {one.compared:.4g} of those shown {what}: {found.difference:+.4g} "
        f"({found.difference_low:+.4g} to {found.difference_high:+.4g}), if an event depends on "
        f"{DEPENDS[one.form]}."
    )


def as_markdown(result: OffPolicy, params: Params) -> str:
    """Return the report."""
    return "\n".join(_lines(result, params)) + "\n"


def _lines(result: OffPolicy, params: Params) -> Iterator[str]:
    how = "its best items in their order" if result.way == "best" else "lists drawn as serve.explore says"
    yield f"# Version {result.version} of {result.name}, before any traffic"
    yield ""
    yield (
        f"Its policy: {how}. It is estimated from {result.drawn:,} answers drawn by chance since "
        f"{result.since:%Y-%m-%d %H:%M} and compared with {result.compared:,} answers. "
        f"{100 * result.support:.0f} % of its places name an item that could be drawn. Events for each "
        f"answer, intervals at {100 * params.evaluate.confidence:g} %; a verdict is of {DECIDES}."
    )
    for why, number in result.left_out.items():
        yield f"Left out: {number:,} answers ({why})."
    for one in result.judged:
        yield ""
        yield f"**{sentence(result, one)}** The drawn answers had {one.logged:.4g}."
        if not any(enough(size, params.off_policy) for size in one.effective.values()):
            continue
        yield ""
        yield "| an event depends on | estimate | value | interval | effective answers | effective events |"
        yield "|---|---|---|---|---|---|"
        for each in one.estimates:
            yield _row(one, each, params.off_policy)


def _row(one: Judged, each: Estimate, limits: OffPolicyParams) -> str:
    size = one.effective[each.form]
    known = f"{each.value:.4g} | {each.low:.4g} to {each.high:.4g}"
    value = known if enough(size, limits) else "too few | "
    return f"| {DEPENDS[each.form]} | {each.estimator} | {value} | {size.answers:,.0f} | {size.events:,.0f} |"

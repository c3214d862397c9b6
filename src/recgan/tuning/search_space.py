"""search.yaml: what a search may change of each recommender, checked before its first trial."""

import copy
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.core.files import read_json
from recgan.core.yaml12 import read_yaml
from recgan.recommenders import catalogue
from recgan.recommenders.catalogue import TRAINED, settings_of
from recgan.recommenders.settings import TrainingParams
from recgan.settings import Params, check_params, load_params, read_with_base
from recgan.tuning.ranges import Choices, Range, read_section

Settings = dict[str, Any]
"""Parameter → value, by its dotted name within the recommender's section."""


_SAME_FOR_ALL = ("seed", "trainer")
"""Of params.yaml whichever recommender is searched: they say how to measure."""


_NOT_TO_BE_SEARCHED = {"recommender", "refit", "half_life_days", "warm_start", *_SAME_FOR_ALL}


@dataclass(frozen=True)
class SearchSpace:
    """What is searched, and all that stays as it is."""

    name: str
    """Of the candidate."""
    recommender: str
    """Its kind, whose section of search.yaml it is."""
    content: dict[str, Any]
    """Of params.yaml, with this candidate in it."""
    base: Path | None
    """The file that the recommender's section is from where it is not params.yaml."""
    ranges: dict[str, Range | Choices]
    whole: frozenset[str]
    """Names of the parameters that are whole numbers."""
    present: Settings
    """What params.yaml (or the base) holds now. Of a classical one's grid: what validation chose
    from it last, else its middle."""

    @property
    def is_classical(self) -> bool:
        """True for one whose section is a grid; False for a GAN."""
        return self.recommender in CLASSICAL

    @property
    def metric_k(self) -> int:
        """The k of the NDCG that is maximised."""
        return int(self.content["evaluate"]["primary_k"])

    @property
    def fixed(self) -> Any:
        """All that decides a trial's result beside its settings, the features and the code."""
        content = with_settings(self.content, self.name, dict.fromkeys(self.ranges))
        return [content["candidates"][self.name], self.metric_k]

    def params(self, settings: Settings) -> Params:
        """Return all parameters with these settings in their place.

        Raises:
            RecganError: they are impossible, each alone or together.
        """
        return check_params(with_settings(self.content, self.name, settings), Path("params.yaml"))

    def could_go_on(self, settings: Settings, name: str) -> bool:
        """Tell whether a parameter is near an end of its range beyond which there are possible values."""
        values, value = self.ranges[name], settings[name]
        if isinstance(values, Choices):
            return False
        low, high = values.low, values.high
        if values.log:
            margin = (high / low) ** 0.05
            beyond = (
                low / margin if value <= low * margin else high * margin if value >= high / margin else None
            )
        else:
            margin = (high - low) * 0.05
            beyond = (
                low - margin if value <= low + margin else high + margin if value >= high - margin else None
            )
        if beyond is None:
            return False
        if name in self.whole:
            beyond = low - 1 if beyond < low else high + 1
        try:
            self.params({**settings, name: beyond})
        except RecganError:
            return False
        return True


# Not what has a half-life alone: validation tries all of its values anyway.
CLASSICAL = {
    name: settings_of(name)
    for name in catalogue.CLASSICAL
    if {*settings_of(name).model_fields} - _NOT_TO_BE_SEARCHED
}


# Not the student: it chooses from its lists itself, and its teacher is rcgan.
GANS = {name: settings_of(name) for name in TRAINED if issubclass(settings_of(name), TrainingParams)}


def with_settings(content: Any, name: str, settings: Settings) -> Any:
    """Return a copy of params.yaml's content with settings in a candidate's section.

    A classical one's setting becomes the only value of its grid. Works on plain YAML and on ruamel's, whose
    comments and layout it keeps.
    """
    content = copy.deepcopy(content)
    for setting, value in settings.items():
        *path, last = setting.split(".")
        section = content["candidates"][name]
        classical = section["recommender"] in CLASSICAL
        for part in path:
            section = section[part]
        value = [value] if classical else copy.deepcopy(value)
        if isinstance(value, list) and isinstance(section[last], list):
            del section[last][:]
            section[last].extend(value)
        else:
            section[last] = value
    return content


def put_base(content: Any, base: Any, name: str) -> Any:
    """Return a copy of params.yaml's content with a candidate of the base's, of the kind that is its name."""
    content = copy.deepcopy(content)
    added = copy.deepcopy(base["candidates"][_of_kind(base, name)])
    present = [one.get("teacher", one) for one in content["candidates"].values()]
    for one in present:  # those of params.yaml, whichever is searched
        if "trainer" in one and "trainer" in added:
            added |= {shared: copy.deepcopy(one[shared]) for shared in _SAME_FOR_ALL}
            break
    content["candidates"][name] = added
    return content


def candidate_of(content: Any, name: str) -> str:
    """Return the kind of a candidate; of a name that params.yaml does not have, the name itself."""
    return str(content["candidates"].get(name, {}).get("recommender", name))


def load_space(name: str, root: Path = Path()) -> SearchSpace:
    """Read a candidate's section of search.yaml and put it on top of params.yaml.

    Args:
        name: of a candidate, or a recommender that is none yet: it comes from the base of search.yaml.
        root: the project.

    Raises:
        RecganError: no such candidate, recommender or section, params.yaml cannot hold it, or the section
            has faults: all are named at once.
    """
    params = load_params(root / layout.PARAMS)
    content = read_yaml(root / layout.PARAMS)
    recommender = candidate_of(content, name)
    known = [*CLASSICAL, *GANS]
    if recommender not in known:
        exists = recommender in TRAINED or recommender in catalogue.CLASSICAL
        close = difflib.get_close_matches(name, [*params.candidates, *known], n=1) if not exists else []
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}"
        why = f"{recommender} has nothing to search" if exists else f"no recommender {name!r}"
        raise RecganError(f"{why}; {hint}")
    section = read_section(root / layout.SEARCH, recommender, known)
    base = None
    if name not in params.candidates:
        base = section.base
        if base is None:
            raise RecganError(
                f"{name} is no candidate of params.yaml, and search.yaml names no base for it; give "
                f"{recommender}.base a params file that has one, or put such a file in place with recgan use"
            )
        if _of_kind(read_with_base(root / base), recommender) is None:
            raise RecganError(
                f"search.yaml's {recommender}.base, {base}, has no such candidate; name one that has it"
            )
        content = put_base(content, read_with_base(root / base), name)
    held = content["candidates"][name]
    names = set(_leaves(held)) - _NOT_TO_BE_SEARCHED
    faults = [_unknown(recommender, setting, names) for setting in section.space if setting not in names]
    if recommender in CLASSICAL:
        faults += [
            f"{recommender}.{setting}: missing; give it a range, or choices with one value"
            for setting in sorted(names)
            if setting not in section.space
        ]
    if not faults:
        model = (CLASSICAL | GANS)[recommender]
        kinds = {setting: _kinds(model, setting) for setting in section.space}
        space = SearchSpace(
            name,
            recommender,
            content,
            base,
            section.space,
            frozenset(one for one, found in kinds.items() if int in found and float not in found),
            _present(name, held, section.space, root),
        )
        space.params(space.present)  # whose faults are not the ranges'
        faults = [fault for one in section.space for fault in _faults(space, one, kinds[one])]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise RecganError(f"{root / 'search.yaml'} has {len(faults)} fault(s):\n{lines}")
    return space


def _of_kind(content: Any, recommender: str) -> str | None:
    """Return the first candidate of a kind, None where there is none."""
    found = (name for name, one in content["candidates"].items() if one["recommender"] == recommender)
    return next(found, None)


def _leaves(section: Any) -> Iterable[str]:
    """Yield the dotted names of a section's values."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from (f"{name}.{below}" for below in _leaves(value))
        else:
            yield name


def _unknown(recommender: str, name: str, names: set[str]) -> str:
    if name in _NOT_TO_BE_SEARCHED:
        return f"{recommender}.{name}: says how to measure and is not to be searched; remove it"
    close = difflib.get_close_matches(name, sorted(names), n=1)
    return f"{recommender}.{name}: unknown parameter; " + (
        f"did you mean `{close[0]}`?" if close else "remove it"
    )


def _kinds(model: Any, name: str) -> set[Any]:
    """Return the plain types that a parameter's annotation is made of."""
    annotation: Any = model
    for part in name.split("."):
        holders = [kind for kind in _plain(annotation) if part in getattr(kind, "model_fields", {})]
        annotation = holders[0].model_fields[part].annotation
    return _plain(annotation)


def _plain(annotation: Any) -> set[Any]:
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        arguments = arguments[:1]
    return set().union(*map(_plain, arguments)) if arguments else {annotation}


def _present(name: str, held: Any, names: Iterable[str], root: Path) -> Settings:
    """Return what a section holds now."""
    if held["recommender"] in GANS:
        values = {}
        for setting in names:
            value = held
            for part in setting.split("."):
                value = value[part]
            values[setting] = value
        return values
    chosen: Settings = {}
    path = root / layout.CANDIDATE_METRICS / f"{name}.json"
    if path.exists():
        about = read_json(path)
        chosen = about if about.get("tuned") else {}
    if any(setting not in chosen or chosen[setting] not in held[setting] for setting in names):
        chosen = {setting: held[setting][len(held[setting]) // 2] for setting in names}
    return {setting: chosen[setting] for setting in names}


def _faults(space: SearchSpace, name: str, kinds: set[Any]) -> Iterable[str]:
    """Yield what is wrong with one parameter's range, each end or choice tried alone beside what is there."""
    values, full = space.ranges[name], f"{space.recommender}.{name}"
    if isinstance(values, Range) and not kinds & {int, float}:
        yield f"{full}: is no number, so it has no range; give choices"
        return
    ends = values.choices if isinstance(values, Choices) else (values.low, values.high)
    for end in ends:
        try:
            space.params({**space.present, name: end})
        except RecganError as error:
            yield from (f"{full}: {line.strip()}" for line in str(error).splitlines()[1:])

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
from recgan.settings import Params, check_params, load_params, load_with_base, read_with_base
from recgan.tuning.ranges import Choices, Range, read_section

Settings = dict[str, Any]
"""Parameter → value, by its dotted name within the recommender's section."""


_SAME_FOR_ALL = ("seed", "trainer", "metric_k")
"""Of params.yaml whichever recommender is searched: they say how to measure."""


_NOT_TO_BE_SEARCHED = {"recommender", "refit", *_SAME_FOR_ALL}


@dataclass(frozen=True)
class SearchSpace:
    """What is searched, and all that stays as it is."""

    recommender: str
    content: dict[str, Any]
    """Of params.yaml, with this recommender in it."""
    base: Path | None
    """The file that the recommender's section is from where it is not params.yaml."""
    ranges: dict[str, Range | Choices]
    whole: frozenset[str]
    """Names of the parameters that are whole numbers."""
    present: Settings
    """What params.yaml (or the base) holds now. Of a baseline's grid: what the baselines stage chose from it,
    else its middle."""

    @property
    def is_baseline(self) -> bool:
        """True for a baseline, whose section is a grid; False for a GAN."""
        return self.recommender in BASELINES

    @property
    def metric_k(self) -> int:
        """The k of the NDCG that is maximised."""
        return int(self.content["baselines" if self.is_baseline else "train"]["metric_k"])

    @property
    def fixed(self) -> Any:
        """All that decides a trial's result beside its settings, the features and the code."""
        if self.is_baseline:
            return {name: self.content["baselines"][name] for name in ("seed", "metric_k")}
        return with_settings(self.content, self.recommender, dict.fromkeys(self.ranges))["train"]

    def params(self, settings: Settings) -> Params:
        """Return all parameters with these settings in their place.

        Raises:
            RecganError: they are impossible, each alone or together.
        """
        return check_params(with_settings(self.content, self.recommender, settings), Path("params.yaml"))

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


BASELINES = {name: settings_of(name) for name in catalogue.BASELINES if name != "popularity"}


# Not the student: it chooses from its lists itself, and its teacher is rcgan.
GANS = {name: settings_of(name) for name in TRAINED if issubclass(settings_of(name), TrainingParams)}


def with_settings(content: Any, recommender: str, settings: Settings) -> Any:
    """Return a copy of params.yaml's content with settings in the recommender's section.

    A baseline's setting becomes the only value of its grid. Works on plain YAML and on ruamel's, whose
    comments and layout it keeps.
    """
    content = copy.deepcopy(content)
    for name, value in settings.items():
        *path, last = name.split(".")
        section = content["baselines"][recommender] if recommender in BASELINES else content["train"]
        for part in path:
            section = section[part]
        value = [value] if recommender in BASELINES else copy.deepcopy(value)
        if isinstance(value, list) and isinstance(section[last], list):
            del section[last][:]
            section[last].extend(value)
        else:
            section[last] = value
    return content


def put_base(content: Any, base: Any) -> Any:
    """Return a copy of params.yaml's content that trains the base's recommender."""
    content, train = copy.deepcopy(content), copy.deepcopy(base["train"])
    present = content["train"].get("teacher", content["train"])  # a student's stand with its teacher
    for name in _SAME_FOR_ALL:
        train[name] = present[name]
    content["train"] = train
    return content


def load_space(recommender: str, root: Path = Path()) -> SearchSpace:
    """Read one recommender's section of search.yaml and put it on top of params.yaml.

    Raises:
        RecganError: no such recommender or section, params.yaml cannot hold it, or the section has faults:
            all are named at once.
    """
    known = [*BASELINES, *GANS]
    if recommender not in known:
        close = difflib.get_close_matches(recommender, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}"
        why = (
            "popularity has nothing to tune"
            if recommender == "popularity"
            else f"no recommender {recommender!r}"
        )
        raise RecganError(f"{why}; {hint}")
    params = load_params(root / layout.PARAMS)
    content = read_yaml(root / layout.PARAMS)
    section = read_section(root / layout.SEARCH, recommender, known)
    base = None
    if recommender in GANS and params.train.recommender != recommender:
        base = section.base
        if base is None:
            raise RecganError(
                f"params.yaml trains {params.train.recommender} and search.yaml names no base for "
                f"{recommender}; give {recommender}.base a params file that trains it, or put such a file in "
                "place with recgan use"
            )
        trained = load_with_base(root / base).train.recommender
        if trained != recommender:
            raise RecganError(
                f"search.yaml's {recommender}.base, {base}, trains {trained}; name one that trains it"
            )
        content = put_base(content, read_with_base(root / base))
    model = (BASELINES | GANS)[recommender]
    held = content["baselines"][recommender] if recommender in BASELINES else content["train"]
    if held is None:
        raise RecganError(f"baselines.{recommender} of params.yaml is null; give it a grid to search from")
    names = set(_leaves(held)) - _NOT_TO_BE_SEARCHED
    faults = [_unknown(recommender, name, names) for name in section.space if name not in names]
    if recommender in BASELINES:
        faults += [
            f"{recommender}.{name}: missing; give it a range, or choices with one value"
            for name in held
            if name not in section.space
        ]
    if not faults:
        kinds = {name: _kinds(model, name) for name in section.space}
        present = _present(recommender, held, section.space, root)
        space = SearchSpace(
            recommender,
            content,
            base,
            section.space,
            frozenset(name for name, found in kinds.items() if int in found and float not in found),
            present,
        )
        space.params(present)  # whose faults are not the ranges'
        faults = [fault for name in section.space for fault in _faults(space, name, kinds[name])]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise RecganError(f"{root / 'search.yaml'} has {len(faults)} fault(s):\n{lines}")
    return space


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


def _present(recommender: str, held: Any, names: Iterable[str], root: Path) -> Settings:
    """Return what a section holds now."""
    if recommender in GANS:
        values = {}
        for name in names:
            value = held
            for part in name.split("."):
                value = value[part]
            values[name] = value
        return values
    chosen: Settings = {}
    if (root / layout.BASELINES_METRICS).exists():
        about = read_json(root / layout.BASELINES_METRICS).get(recommender, {})
        chosen = about if about.get("tuned") else {}
    if any(chosen.get(name) not in held[name] for name in held):
        chosen = {name: held[name][len(held[name]) // 2] for name in held}
    return {name: chosen[name] for name in names}


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

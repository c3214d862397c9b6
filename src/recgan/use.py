"""Put other parameters in place of params.yaml, whole or in part."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from recgan.errors import RecganError
from recgan.files import write_text
from recgan.params import check_params


def use(example: str, folder: Path | None = None, root: Path = Path()) -> Path:
    """Replace params.yaml by an example, keeping the one before as params.yaml.bak.

    Args:
        example: a name in examples/ such as `ml-100k`, or the path of a params file.
        folder: becomes `ingest.path`, where the raw files are.
        root: the project.

    Returns:
        The path of params.yaml.

    Raises:
        RecganError: no such example or folder, or the file has faults; params.yaml is then untouched.
    """
    examples = {path.stem: path for path in sorted((root / "examples").glob("*.yaml"))}
    source = examples.get(example, Path(example))
    if not source.is_file():
        raise RecganError(
            f"no example {example!r}; choose one of {', '.join(examples)}, or give a file's path"
        )
    if folder is not None and not (root / folder).exists():
        raise RecganError(f"no folder {folder}; give the folder that holds the raw files of {example}")
    content = read_with_comments(source)
    if folder is not None and isinstance(content.get("ingest"), dict):
        content["ingest"]["path"] = str(folder)
    return put_in_place(content, source, root)


def read_with_comments(path: Path) -> Any:
    """Read YAML such that `put_in_place` writes its comments and layout again."""
    return _yaml().load(path.read_text(encoding="utf-8"))


def put_in_place(content: Any, source: Path, root: Path = Path()) -> Path:
    """Make this content params.yaml, keeping the one before as params.yaml.bak.

    Args:
        content: what `read_with_comments` returned, perhaps changed.
        source: the file that its faults are said to be in.
        root: the project.

    Raises:
        RecganError: the content has faults; params.yaml is then untouched.
    """
    text = io.StringIO()
    _yaml().dump(content, text)
    check_params(YAML(typ="safe").load(text.getvalue()), source)
    target = root / "params.yaml"
    if target.exists() and target.read_text(encoding="utf-8") != text.getvalue():
        write_text(root / "params.yaml.bak", target.read_text(encoding="utf-8"))
        write_text(target, text.getvalue())
    return target


class _Representer(RoundTripRepresenter):
    """Writes null as it stands in the files, where ruamel leaves a blank."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 120
    return yaml

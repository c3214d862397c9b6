"""The one reader of YAML files: YAML 1.2, with the parser that DVC uses.

YAML 1.1 reads `NO` as false, `0777` as 511, `12:30:00` as 45000 and `1e-4` as text; YAML 1.2 does not. What a
stage computes with must be what DVC holds it against, so nothing here may differ from DVC's own reader.
"""

import re
from pathlib import Path
from typing import Any

from recgan.core.errors import RecganError


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top is a mapping of names to values.

    Raises:
        FileNotFoundError: there is no such file; what to do about it depends on the file.
        RecganError: the file is not UTF-8, is not YAML 1.2, holds a name twice, or is no mapping.
    """
    return parse_yaml(path.read_bytes(), path)


def parse_yaml(text: bytes, path: Path) -> dict[str, Any]:
    """Read the content of a YAML file whose top is a mapping; `path` is for messages.

    Raises:
        RecganError: as `read_yaml`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise RecganError(
            f"{path}, line {line}: the byte 0x{text[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    # The parser of the C library overlooks this line, the one that keeps comments obeys it.
    if re.match(r"\ufeff?(\s*(#.*)?\n)*%YAML", decoded):
        raise RecganError(f"{path} begins with a %YAML line; remove it: the file is read as YAML 1.2")
    try:
        content = _apart(YAML(typ="safe").load(decoded))
    except YAMLError as error:
        raise RecganError(f"{path}{_told(error, decoded.splitlines())}") from None
    except (ValueError, RecursionError) as error:  # a 13th month; brackets a thousand deep
        raise RecganError(f"{path} holds a value that cannot be read ({error}); mend or quote it") from None
    if not isinstance(content, dict):
        what = "nothing" if content is None else "a list" if isinstance(content, list) else f"{content!r}"
        raise RecganError(
            f"{path} holds {what} where sections are wanted (name: value); "
            f"restore it with `git checkout {path}`"
        )
    return content


def _apart(value: Any) -> Any:
    """Copy what an anchor puts in several places, so that a change in one stays there."""
    if isinstance(value, dict):
        return {name: _apart(below) for name, below in value.items()}
    return [_apart(below) for below in value] if isinstance(value, list) else value


def _told(error: Any, lines: list[str]) -> str:
    """Say where a file stops being YAML, and what to do there."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    if mark is None:
        return f" is not readable YAML ({problem}); mend it"
    line = lines[mark.line] if mark.line < len(lines) else ""
    where = f", line {mark.line + 1}"
    conflict = next((n for n, text in enumerate(lines, 1) if re.match(r"(<{7}|>{7})( |$)", text)), None)
    if conflict is not None:
        return f", line {conflict}: a conflict of git's is not resolved; keep one side of it"
    if twice := re.match(r'found duplicate key "(.*?)" with', problem):
        return f"{where}: {twice[1]} stands twice in one section; keep one of the two"
    if "another document" in problem:
        return f"{where}: a second document begins here; keep one and remove the line ---"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{where}: indented by a tab, which YAML forbids; use spaces"
    shown = f" ({line.strip()[:80]})" if line.strip() else ""
    return f"{where}{shown} is not readable YAML: {problem}; mend that line, or put a text in quotes"

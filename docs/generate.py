"""Write the reference pages that are made of the code: parameters, commands, HTTP.

python docs/generate.py      docs/generated/*.md, which git ignores; `make docs` and the site's tests do it
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import typer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from recgan.__main__ import app  # noqa: E402
from recgan.core.sections import Kinds, Section, kinds_of  # noqa: E402
from recgan.core.yaml12 import read_yaml  # noqa: E402
from recgan.images.settings import ImagesParams  # noqa: E402
from recgan.settings import Params, read_with_base  # noqa: E402


def parameters() -> str:
    """Return every parameter of params.yaml and images/params.yaml by its full name."""
    shop = read_yaml(ROOT / "params.yaml")
    examples = [shop, *(read_with_base(path) for path in sorted((ROOT / "examples").glob("*.yaml")))]
    lines = [
        "# Parameters",
        "",
        "Every number that changes a result is in params.yaml. Nothing has a default in the code. The value",
        "shown is that of the simulated shop, or of the first example that has such a section.",
        "A name in `…` stands for one that you choose.",
        *_section(Params, "", "", examples, 2),
        "",
        "## images/params.yaml",
        *_section(ImagesParams, "", "", [read_yaml(ROOT / "images/params.yaml")], 3),
    ]
    return "\n".join(lines) + "\n"


def _section(
    kind: type[Section], place: str, of: str, values: list[Any], level: int, told_by: str | None = None
) -> Iterator[str]:
    """Yield a section's table and then those of the sections in it.

    Args:
        kind: of the section.
        place: its full name.
        of: what is said behind that name.
        values: what params files have there.
        level: of its heading.
        told_by: the field that tells it from other kinds in its place; None where there are none.
    """
    meaning, rows, below = meanings(kind), [], []
    for field, info in kind.model_fields.items():
        name = info.alias or field
        full = f"{place}.{name}" if place else name
        given = [value[name] for value in values if isinstance(value, dict) and name in value]
        # A whole candidate inside another one may hold candidates again, without end.
        embedded = any(isinstance(one, Kinds) for one in info.metadata)
        kinds, tag = ([], None) if embedded else kinds_of(info)
        if get_origin(info.annotation) is dict:
            kinds, tag = kinds_of(get_args(info.annotation)[1])
            if kinds:  # a section for each name that somebody chooses
                given = [one for table in given if isinstance(table, dict) for one in table.values()]
                full = f"{full}.…"
        for one in kinds:
            fitting = [value for value in given if tag is None or _is_of(value, one, tag)]
            of = f", {tag}: {get_args(one.model_fields[tag].annotation)[0]}" if tag is not None else ""
            below.append((one, full, of, fitting, tag))
        if not kinds:
            shown = json.dumps(given[0], ensure_ascii=False) if given else ""
            what = "a candidate's section" if embedded else _type(info.annotation)
            said = meaning.get(field, "") or ("what the section is" if name == told_by else "")
            about = (what, _code(shown), said)
            rows.append(f"| `{full}` | {_cell(about[0])} | {about[1]} | {_cell(about[2])} |")
    words = _cell(inspect.getdoc(kind) or "")
    if place or rows:
        yield from ("", f"{'#' * min(level, 5)} {place or 'top'}{of}", "", words)
    if rows:
        yield from ("", "| parameter | type | value | meaning |", "|---|---|---|---|", *rows)
    for one, full, of, fitting, tag in below:
        yield from _section(one, full, of, fitting, level + (1 if place else 0), tag)


def _is_of(value: Any, kind: type[Section], tag: str) -> bool:
    return isinstance(value, dict) and value.get(tag) in get_args(kind.model_fields[tag].annotation)


def meanings(kind: type[Section]) -> dict[str, str]:
    """Return what stands below each field of a section, and of those that it comes from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not (issubclass(one, Section) and one is not Section):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, after in zip(body.body, body.body[1:], strict=False):
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and after.value.value
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(text, str)
            ):
                found[line.target.id] = text
    return found


def _type(annotation: Any) -> str:
    text = re.sub(r"\b(?:typing|pydantic\S*|datetime|pathlib|[a-z_]+(?:\.[a-z_]+)+)\.", "", str(annotation))
    text = re.sub(r"<class '([\w.]+)'>", lambda found: found[1].rpartition(".")[2], text)
    text = re.sub(r"Annotated\[([\w.]+), [^\]]*\]", r"\1", text)
    words = {"NoneType": "null", "None": "null", "str": "text", "bool": "true or false", "float": "number"}
    words |= {"int": "whole number", "tuple": "list", "...": "…"}
    for ours, theirs in words.items():
        text = re.sub(rf"(?<![\w']){re.escape(ours)}(?![\w'])", theirs, text)
    return text.replace(", …]", "]").replace("Literal[", "one of [")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def commands() -> str:
    """Return the help of every subcommand."""
    lines = ["# Commands", "", "`python -m recgan COMMAND`, or `recgan COMMAND` where .venv is active."]
    whole = typer.main.get_command(app)
    for path, command in _commands(whole, "recgan"):
        usage = command.collect_usage_pieces(click.Context(command))
        lines += ["", f"## {path}", "", inspect.cleandoc(command.help or ""), "", "```text"]
        lines += [f"{path} {' '.join(usage)}", "```"]
        options = [one for one in command.params if one.name != "help"]
        if options:
            lines += ["", "| option | meaning | default |", "|---|---|---|"]
        for one in options:
            names = " / ".join([*one.opts, *one.secondary_opts])
            default = "" if one.required or one.default in (None, False) else json.dumps(one.default)
            lines.append(f"| `{names}` | {_cell(getattr(one, 'help', None) or '')} | {_code(default)} |")
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def http() -> str:
    """Return the paths and fields of openapi.json."""
    from recgan.serving.app import create_app

    document = create_app("recgan", impressions=Path("impressions")).openapi()
    lines = ["# HTTP", "", "What `make serve` answers, as its /openapi.json says."]
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            lines += [
                "",
                f"## {method.upper()} {path}",
                "",
                about.get("description") or about.get("summary", ""),
            ]
            rows = [(one["name"], one.get("schema", {}), one) for one in about.get("parameters", [])]
            body = (
                about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            )
            if body:
                lines += ["", f"Body: {_link(body)}."]
            lines += _fields(rows)
            lines += ["", "| status | answer |", "|---|---|"]
            lines += [
                f"| {code} | {_cell(one.get('description', ''))} |"
                for code, one in about["responses"].items()
            ]
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        lines += ["", f"## {name}", "", schema.get("description", "")]
        lines += _fields([(field, one, one) for field, one in schema.get("properties", {}).items()])
    return "\n".join(lines) + "\n"


def _link(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref", "").rpartition("/")[2]
    return (
        f"[{reference}](#{reference.lower()})" if reference else schema.get("title", schema.get("type", ""))
    )


def _fields(rows: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "| field | type and limits | meaning |", "|---|---|---|"]
    for name, schema, about in rows:
        hidden = ("title", "description", "examples", "example")
        limits = {key: value for key, value in schema.items() if key not in hidden}
        text = json.dumps(limits, ensure_ascii=False).replace("#/components/schemas/", "")
        lines.append(f"| `{name}` | {_code(text[:300])} | {_cell(about.get('description', ''))} |")
    return lines


def write(folder: Path) -> None:
    """Write the pages into a folder."""
    folder.mkdir(exist_ok=True)
    pages = {"parameters": parameters, "commands": commands, "http": http}
    for name, page in pages.items():
        path, text = folder / f"{name}.md", page()
        if (
            not path.exists() or path.read_text(encoding="utf-8") != text
        ):  # what did not change is not built anew
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent / "generated")

"""The text of a params file together with its bases, with the comments of all.

Done on lines, since ruamel hangs a comment on the value before it, and so on the wrong one once that is
replaced. A comment belongs to the value that it stands above or beside, and goes with it.
"""

from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from recgan.core.comments import read_with_comments, written
from recgan.core.differences import BASE, Layer, Table, merged, section_below
from recgan.core.errors import RecganError
from recgan.core.sections import Section


@dataclass(frozen=True)
class _Entry:
    """A name and its value as they stand in a file, without the indentation of the section they are in."""

    name: str
    above: list[str]
    """Comments and blank lines before it."""
    head: list[str]
    """All lines of it; of a section in block form the first one only, perhaps with a comment."""
    after: str
    """What stands behind a value in braces: its comment."""
    fields: list["_Entry"] | None
    """None unless the value is a mapping."""
    flow: bool
    """The value is a mapping in braces."""
    tail: list[str]
    """Comments after the last field."""

    @property
    def lines(self) -> list[str]:
        if self.fields is None or self.flow:
            return [*self.above, *self.head, *self.tail]
        return [*self.above, *self.head, *_indented([*_joined(self.fields), *self.tail])]


def merged_text(layers: list[Layer], whole: type[Section]) -> tuple[bytes, dict[str, Any]]:
    """Return the text of all layers together, the later ones on top, and its content.

    The comment at the head is that of the last layer. Between two sections there is one blank line.

    Raises:
        RecganError: a file has anchors, by which a value of one place stands in others.
    """
    if len(layers) == 1:
        return layers[0].text, layers[0].content
    path = layers[-1].path
    content = layers[0].content
    _, entries, tail = _parsed(layers[0])
    head: list[str] = []
    for layer in layers[1:]:
        head, own, own_tail = _parsed(layer)
        entries = _merged(entries, own, content, layer.content, whole)
        content, tail = merged(content, layer.content, whole), [*tail, *own_tail]
    parts = [_trimmed(part) for part in (head, *(entry.lines for entry in entries), tail)]
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    return written(read_with_comments(text.encode(), path), content, path), content


def _parsed(layer: Layer) -> tuple[list[str], list[_Entry], list[str]]:
    """Return the comment at a file's head, its sections without `base`, and the comments at its end."""
    text = layer.text.decode("utf-8-sig").replace("\r\n", "\n")
    lines = text.split("\n")
    if any(isinstance(event, AliasEvent) for event in YAML().parse(text)):
        raise RecganError(
            f"{layer.path} shares values by anchors (& and *), which do not reach from file to file; "
            "write them out"
        )
    root = YAML(typ="safe", pure=True).compose(text)
    entries, tail = _fields(root, text, lines, 0, len(lines))
    if not entries:
        return [], [], tail
    first = entries[0]
    blank = [number for number, line in enumerate(first.above) if not line.strip()]
    cut = blank[-1] + 1 if blank and first.name != BASE else len(first.above)
    head, rest = first.above[:cut], first.above[cut:]
    entries[0] = replace(first, above=rest)
    return head, [entry for entry in entries if entry.name != BASE], tail


def _fields(
    node: MappingNode, text: str, lines: list[str], start: int, end: int
) -> tuple[list[_Entry], list[str]]:
    """Return a mapping's entries between two lines, and the comments after the last one."""
    if node.flow_style:
        return [_in_braces(key, value, text) for key, value in node.value], []
    column = node.start_mark.column
    entries = []
    for number, (key, value) in enumerate(node.value):
        first, last = key.start_mark.line, _last_line(value)
        following = [other.start_mark.line for other, _ in node.value[number + 1 : number + 2]]
        upto = last + 1  # comments that are indented further than the name are the value's
        for line in range(last + 1, *following or [end]):
            if len(lines[line]) - len(lines[line].lstrip()) > column and lines[line].strip():
                upto = line + 1
        above = _dedented(lines[start:first], column)
        if isinstance(value, MappingNode) and not value.flow_style:
            below, tail = _fields(value, text, lines, first + 1, upto)
            head = _dedented(lines[first : first + 1], column)
            entries.append(_Entry(key.value, above, head, "", below, False, tail))
        else:
            entries.append(
                _Entry(
                    key.value,
                    above,
                    head=_dedented(lines[first : last + 1], column),
                    after=text[value.end_mark.index :].split("\n", 1)[0],
                    fields=_fields(value, text, lines, 0, 0)[0] if isinstance(value, MappingNode) else None,
                    flow=isinstance(value, MappingNode),
                    tail=_dedented(lines[last + 1 : upto], column),
                )
            )
        start = upto
    return entries, _dedented(lines[start:end], column)


def _in_braces(key: Node, value: Node, text: str) -> _Entry:
    """Return an entry of a mapping in braces as one of a mapping in lines."""
    fields = (
        [_in_braces(name, below, text) for name, below in value.value]
        if isinstance(value, MappingNode)
        else None
    )
    head = f"{key.value}: {text[value.start_mark.index : value.end_mark.index]}".split("\n")
    return _Entry(key.value, [], head, "", fields, fields is not None, [])


def _merged(
    base: list[_Entry], own: list[_Entry], before: Any, difference: Any, section: type[Section] | Table
) -> list[_Entry]:
    theirs = {entry.name: entry for entry in base}
    for entry in own:
        name = entry.name
        if difference.get(name) is None and isinstance(section, Table):
            theirs.pop(name, None)
            continue
        below = section_below(section, name, before.get(name), difference.get(name))
        if below is not None:
            old = theirs[name]
            fields = _merged(old.fields or [], entry.fields or [], before[name], difference[name], below)
            entry = _section(old, entry, fields)
        theirs[name] = entry
    return list(theirs.values())


def _section(base: _Entry, own: _Entry, fields: list[_Entry]) -> _Entry:
    """Return a section with these fields and the comments of both files, the difference's first."""
    above = own.above if any(line.strip() for line in own.above) else base.above
    tail = [*base.tail, *own.tail]
    if base.flow and own.flow:
        inside = ", ".join("\n".join(field.head) for field in fields)
        after = own.after if "#" in own.after else base.after
        head = f"{own.name}: {{{inside}}}{after}".split("\n")
        return _Entry(own.name, above, head, after, fields, True, tail)
    blocks = [entry.head for entry in (own, base) if not entry.flow]
    head = next((lines for lines in blocks if "#" in lines[0]), blocks[0])
    return _Entry(own.name, above, head, "", fields, False, tail)


def _last_line(node: Node) -> int:
    """Return the line in which a value ends; a block's own mark lies behind the comments that follow."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    return int(end.line if end.column or end.line == node.start_mark.line else end.line - 1)


def _joined(entries: list[_Entry]) -> list[str]:
    return [line for entry in entries for line in entry.lines]


def _trimmed(lines: list[str]) -> list[str]:
    return "\n".join(lines).strip("\n").split("\n") if any(line.strip() for line in lines) else []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]


def _dedented(lines: list[str], column: int) -> list[str]:
    return [line.lstrip() if line[:column].strip() else line[column:] for line in lines]

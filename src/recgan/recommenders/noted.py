"""The place of what a training may begin from, where nothing lies there."""

from pathlib import Path

from recgan.core import layout
from recgan.core.files import replacing, write_json


def keep_or_note(start: Path) -> None:
    """Leave a folder as a flow has filled it from the registry; note that there is nothing where none has.

    A stage asks no registry. It runs whenever a flow has put something else there, so that trainings that
    begin from it are stale.
    """
    if not (start / layout.BEGIN).exists():
        with replacing(start) as folder:
            folder.mkdir(parents=True)
            write_json(folder / layout.BEGIN, {"reason": "no flow has looked for a champion"})

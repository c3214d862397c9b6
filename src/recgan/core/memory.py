"""How much memory there is, a container's limit included; what does not fit is refused before it begins."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from recgan.core.errors import RecganError

log = logging.getLogger(__name__)

_SYSTEM = Path("/")
_WORTH_TELLING = 2**28  # bytes


@dataclass(frozen=True)
class Need:
    """What one step takes at its peak."""

    of: str
    """Its name, as params.yaml has it."""
    bytes: int
    why: str
    """Of which sizes the bytes are made."""
    remedy: str


def total() -> int:
    """Return the bytes that this process may use at most: the machine's, or its container's limit."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _containers())])


def free() -> int:
    """Return the bytes that this process can still get before the machine or its container is full."""
    return min([psutil.virtual_memory().available, *(limit - used for limit, used in _containers())])


def tell(needs: Iterable[Need]) -> list[Need]:
    """Say in the log what each step will take, where that is much, and return them all."""
    told = list(needs)
    for need in (one for one in told if one.bytes >= _WORTH_TELLING):
        log.info("%s takes %s for %s; %s are free", need.of, _shown(need.bytes), need.why, _shown(free()))
    return told


def refuse(needs: Iterable[Need]) -> None:
    """Refuse what does not fit into the free memory, all of it in one message.

    Raises:
        RecganError: something needs more than is free.
    """
    there, most = free(), total()
    too_big = [need for need in needs if need.bytes > there]
    if too_big:
        lines = [f"{need.of}: {_shown(need.bytes)} for {need.why}; {need.remedy}" for need in too_big]
        raise RecganError(
            f"not enough memory: {_shown(there)} of {_shown(most)} are free here, but these need more:\n  "
            + "\n  ".join(lines)
        )


def _shown(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB"


def _containers() -> Iterator[tuple[int, int]]:
    """Yield the limit and the use of each control group around this process that has a limit."""
    try:
        lines = (_SYSTEM / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # no Linux
    mounted = _SYSTEM / "sys/fs/cgroup"
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":  # version 2
            yield from _group(mounted, place, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _group(mounted / "memory", place, *names)


def _group(root: Path, place: str, limit: str, usage: str, cached: str) -> Iterator[tuple[int, int]]:
    """Yield the limit and the use of a group and of those around it, as far as they can be seen."""
    folder = root / place.strip("/")
    for group in (folder, *folder.parents):
        try:
            most = int((group / limit).read_text(encoding="utf-8"))
            used = int((group / usage).read_text(encoding="utf-8"))
            stat = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
            files = next((int(line.split()[1]) for line in stat if line.startswith(f"{cached} ")), 0)
            yield most, used - files  # pages of files go when memory is wanted
        except (OSError, ValueError):  # not mounted here, or "max"
            pass
        if group == root:
            return

"""Whom the project has forgotten, so that no export brings them back: salted hashes, and no id.

Whoever has the file can try any id, and so all ids of a shop. Guard it like the log.
"""

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from recgan.core.errors import RecganError
from recgan.core.files import read_json, write_json


class Forgotten(BaseModel):
    """The content of forgotten.json."""

    salt: str = ""
    people: tuple[str, ...] = ()
    """Of each the sha256 of the salt and the id."""

    @property
    def version(self) -> str:
        """Return what tells one list from another."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest() if self.people else ""

    def holds(self, ids: pa.ChunkedArray) -> pa.ChunkedArray:
        """Say which ids are of people who were forgotten; a null is nobody's."""
        known = set(self.people)
        once = pc.drop_null(pc.unique(ids))
        found = [one for one in once.to_pylist() if known and _hash(self.salt, one) in known]
        return pc.is_in(ids, value_set=pa.array(found, pa.string()))

    def with_people(self, ids: Iterable[str]) -> "Forgotten":
        """Return the list with further people."""
        salt = self.salt or secrets.token_hex(16)
        return Forgotten(salt=salt, people=tuple(sorted({*self.people, *(_hash(salt, one) for one in ids)})))


def read_forgotten(path: Path) -> Forgotten:
    """Read the list; a missing file names nobody.

    Raises:
        RecganError: it is damaged: without it people would come back.
    """
    try:
        return Forgotten(**read_json(path))
    except FileNotFoundError:
        return Forgotten()
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise RecganError(f"{path} is damaged ({error}); restore it: git checkout {path.name}") from None


def write_forgotten(forgotten: Forgotten, path: Path) -> None:
    """Write the list."""
    write_json(path, forgotten.model_dump(mode="json"))


def _hash(salt: str, user_id: str) -> str:
    return hashlib.sha256(f"{salt}\n{user_id}".encode()).hexdigest()

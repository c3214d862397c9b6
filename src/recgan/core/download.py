"""Archives from their official addresses, kept in the user's cache folder."""

import os
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pooch

from recgan.core.errors import RecganError

_TIMEOUT = 30  # seconds without an answer


def fetch_members(url: str, members: tuple[str, ...], put: str, md5: str | None = None) -> dict[str, bytes]:
    """Download a zip archive once and read some of its members.

    The archive is kept in the folder RECGAN_CACHE, by default the cache folder of the user.

    Args:
        url: http(s) address of the archive.
        members: names inside the archive.
        put: what to do without a network, for the error message.
        md5: published checksum; a cached file without it is downloaded again. None where none is published.

    Raises:
        RecganError: the address cannot be reached, the checksum differs, or it is not the expected archive.
    """
    path = fetch(url, put, md5, url.rsplit("/", 1)[-1].replace("+", "-"))
    try:
        with ZipFile(path) as archive:
            return {member: archive.read(member) for member in members}
    except (BadZipFile, KeyError) as error:
        path.unlink()
        raise RecganError(f"{url} is not the expected archive ({error}); {put}") from None


def fetch(url: str, put: str, md5: str | None, name: str) -> Path:
    """Download a file once, into the folder RECGAN_CACHE, by default the cache folder of the user.

    Args:
        url: http(s) address of the file.
        put: what to do without a network, for the error message.
        md5: published checksum; a cached file without it is downloaded again. None where none is published.
        name: of the file in that folder.

    Raises:
        RecganError: the address cannot be reached, or the checksum differs.
    """
    folder = Path(os.environ.get("RECGAN_CACHE", pooch.os_cache("recgan")))
    folder.mkdir(
        parents=True, exist_ok=True
    )  # whose errors name the folder, and are no matter of the network
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=None if md5 is None else f"md5:{md5}",
                fname=name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
            )
        )
    except ValueError:  # pooch's word for a checksum that differs; it has removed the file
        raise RecganError(f"{url} does not have the published md5 {md5}; try again later, or {put}") from None
    except OSError as error:  # requests' errors are OSErrors too
        raise RecganError(
            f"cannot download {url} ({error.strerror or type(error).__name__}); {put}"
        ) from None

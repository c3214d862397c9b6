"""What a flow needs, seen to before Prefect is imported and before anything is started.

prepare(__name__ == "__main__")      first in a module with a flow
"""

from recgan.core.stopped import one_line_for_ctrl_c

one_line_for_ctrl_c()  # before what takes long to import

import argparse  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import tomllib  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import suppress  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

from recgan.core import layout  # noqa: E402
from recgan.core.environment import configure  # noqa: E402
from recgan.core.errors import RecganError  # noqa: E402
from recgan.core.redact import clean  # noqa: E402
from recgan.core.temporary import sweep  # noqa: E402
from recgan.registry.reachable import check_registry  # noqa: E402

PREFECT_HOME = Path(".recgan/prefect")
_CHOSEN = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
"""Variables by which somebody has said which Prefect it shall be."""


def prepare(program: bool, arguments: bool = False) -> None:
    """Set the process up for a flow; where it is the program, check that it can run, or end with one error.

    Args:
        program: whether this process was started to run the flow here. One that a worker starts, or that
            imports the flow, has its Prefect already.
        arguments: whether the flow reads those of the command line itself; else none is taken, as settings
            belong to params.yaml, and --help says what the flow does.
    """
    configure()
    if not program:
        return
    if not arguments:
        name = f"python -m flows.{Path(sys.argv[0]).stem}"
        argparse.ArgumentParser(prog=name, description=sys.modules["__main__"].__doc__).parse_args()
    try:
        for line in look_around(Path()):
            sys.stderr.write(f"{clean(line)}\n")
    except RecganError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def look_around(root: Path) -> Iterator[str]:
    """Make ready what a flow needs in a project; yield a line for each thing that is not as usual.

    Raises:
        RecganError: the flow cannot run here.
    """
    check_folder(root)
    if os.environ.get("RECGAN_ENGINE"):
        from recgan.data.engine import chosen

        chosen()
    sweep()
    yield from settle_git(root)
    yield from settle_prefect(root)
    check_registry(root)


def check_folder(root: Path) -> None:
    """Refuse a folder that is no project, or in which nothing can be written.

    Raises:
        RecganError: it is, with the remedy.
    """
    missing = [name for name in ("params.yaml", "dvc.yaml", ".dvc") if not (root / name).exists()]
    if missing:
        raise RecganError(
            f"no {missing[0]} in {root.resolve()}; run the flow from the root of the project, "
            "with all that is in its repository"
        )
    try:
        (root / layout.STATE).mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=root / layout.STATE) as trial:
            trial.write(bytes(2**16))
            trial.flush()
    except OSError as error:
        raise RecganError(
            f"nothing can be written in {root.resolve()}: {error.strerror}; "
            "see to write permission and free space there"
        ) from None
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise RecganError(
            "no folder for temporary files can be written to; set TMPDIR to one that can"
        ) from None


# --- git ------------------------------------------------------------------------------------------------


def settle_git(root: Path) -> Iterator[str]:
    """Tell DVC whether there is a git repository; it takes a project without one only when told."""
    in_git = any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents))
    config, ours = root / ".dvc/config.local", root / ".recgan/no-git"
    told = config.exists() and "no_scm" in config.read_text(encoding="utf-8")
    if not in_git and not told:
        _dvc_config(root, "core.no_scm", "true")
        ours.touch()
        yield "no git repository here: DVC works without (core.no_scm), and versions carry no commit"
    elif in_git and ours.exists():
        if told:
            _dvc_config(root, "--unset", "core.no_scm")
        ours.unlink()
        yield "there is a git repository now: DVC uses it again (core.no_scm is unset)"


def _dvc_config(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", "config", "--local", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RecganError(f"`dvc config --local {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")


# --- Prefect --------------------------------------------------------------------------------------------


def settle_prefect(root: Path) -> Iterator[str]:
    """Choose the Prefect that the flow runs in: the one that the environment names, else the project's own.

    The user's own profile and database are of whatever version and content: a flow that nobody has told to
    use them leaves them alone.
    """
    if not any(os.environ.get(name) for name in _CHOSEN):
        os.environ["PREFECT_HOME"] = str((root / PREFECT_HOME).resolve())
        (root / PREFECT_HOME).mkdir(parents=True, exist_ok=True)
        if (server := _server_of_the_user()) is not None:
            yield (
                f"the Prefect server of your profile ({server}) is not used; "
                f"to run there: PREFECT_API_URL={server} before the command"
            )
    try:
        import_module("prefect.main")
    except Exception as error:  # whatever its settings make it raise
        raise RecganError(
            f"Prefect does not take its settings: {' '.join(str(error).split())[:300]}; "
            "mend them in the variables PREFECT_…, .env, prefect.toml, or profiles.toml of PREFECT_HOME"
        ) from None


def _server_of_the_user() -> str | None:
    """Return PREFECT_API_URL of the user's active profile, None where there is none or it is not readable."""
    with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):
        profiles = tomllib.loads((Path.home() / ".prefect/profiles.toml").read_text(encoding="utf-8"))
        return str(profiles["profiles"][profiles["active"]]["PREFECT_API_URL"])
    return None

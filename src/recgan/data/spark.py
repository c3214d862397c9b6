"""A session of Spark: the one that is there, the environment's cluster, or this machine."""

import logging
import os
import pickle
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from recgan.core import memory
from recgan.core.addresses import check_listens
from recgan.core.errors import RecganError

log = logging.getLogger(__name__)

T = TypeVar("T")

_SAYS_WHERE = ("SPARK_REMOTE", "PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR", "SPARK_HOME")
"""Variables that say how Spark runs: by Connect, by spark-submit, with what settings, as installed where."""

_CONNECT_PORT = 15002
_LOCAL = re.compile(r"local($|\[|-cluster)")  # Spark of this machine

_SAME_ON_EVERY_CLUSTER = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # what overflows is an error, not another number
    # Arrow writes the calendar of today; Spark would refuse times before 1900, or move them.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}

_QUIET = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = spark: %p %c{1}: %m%n%ex{0}
"""
"""Log4j's: errors alone, a line each. Python gets the exception itself."""


def check() -> None:
    """Check that Spark can start here, without starting it.

    Raises:
        RecganError: pyspark or Java is missing.
        Unavailable: nobody listens where SPARK_REMOTE says.
    """
    if find_spec("pyspark") is None:
        raise RecganError("RECGAN_ENGINE is spark, but pyspark is not installed; pip install 'recgan[spark]'")
    remote = os.environ.get("SPARK_REMOTE", "")
    if remote and not _LOCAL.match(remote):
        if not remote.startswith("sc://"):
            raise RecganError(f"SPARK_REMOTE is {remote}, no address of Spark Connect; write sc://host:15002")
        remedy = "start a Spark Connect server there, or leave SPARK_REMOTE out: Spark then runs here"
        check_listens("SPARK_REMOTE", remote, _CONNECT_PORT, remedy)
        return  # Java is there, not here
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and Path(home, "bin", "java").exists()):
        raise RecganError(
            "RECGAN_ENGINE is spark, but there is no Java; install version 17 (Debian: apt-get install "
            "openjdk-17-jre-headless), set JAVA_HOME to one elsewhere, or name a cluster by SPARK_REMOTE"
        )


@contextmanager
def session(spill: Path) -> Iterator[Any]:
    """Give a SparkSession, and end it afterwards, unless it was there before.

    Args:
        spill: an empty folder, for what a Spark on this machine cannot hold in memory.

    Raises:
        RecganError: none starts.
    """
    # Said at each call, and its tests with pandas 3 pass.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    from pyspark.sql import SparkSession

    there = SparkSession.getActiveSession()
    found = there or _start(spill)
    for name, value in _SAME_ON_EVERY_CLUSTER.items():
        found.conf.set(name, value)
    try:
        yield found
    finally:
        if there is None:
            found.stop()


def each(session: Any, function: Callable[[int], T], count: int) -> list[T]:
    """Call a function with 0, 1, … in tasks of their own, and return what it returns.

    Args:
        session: of Spark. Its Python has this package, and its machines see the same files.
        function: that can be pickled, as what it returns.
        count: of the calls.
    """

    def call(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                found = pickle.dumps(function(number))
                yield pa.RecordBatch.from_pydict({"number": [number], "found": [found]})

    numbers = session.range(0, count, 1, count)
    table = numbers.mapInArrow(call, "number long, found binary").toArrow()
    found = dict(zip(table["number"].to_pylist(), table["found"].to_pylist(), strict=True))
    return [pickle.loads(found[number]) for number in range(count)]


def _start(spill: Path) -> Any:
    from pyspark.sql import SparkSession

    remote = os.environ.get("SPARK_REMOTE") or None
    if remote is None:  # Spark itself takes an empty one for an address
        os.environ.pop("SPARK_REMOTE", None)
    builder = SparkSession.builder.appName("recgan")
    here = not any(os.environ.get(name) for name in _SAYS_WHERE)
    if here:
        builder = builder.config("spark.local.dir", str(spill))
        os.environ["SPARK_CONF_DIR"] = str(_settings(spill))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else any python3 of the PATH
    try:
        started = builder.getOrCreate()
    except Exception as error:  # of py4j, of gRPC, of Spark: there is no common one
        where, said = remote or "this environment", str(error).splitlines()[0]
        raise RecganError(
            f"Spark does not start in {where} ({said}); see what Java says above, and SPARK_REMOTE, "
            "SPARK_HOME, SPARK_CONF_DIR and JAVA_HOME"
        ) from error
    finally:
        if here:
            del os.environ["SPARK_CONF_DIR"]
    if remote is not None:
        _check_version(started, remote)
    log.info("Spark %s: %s", started.version, remote or started.sparkContext.master)
    return started


def _check_version(session: Any, remote: str) -> None:
    """Refuse a server of another version: engines agree to the bit where both are of one alone."""
    import pyspark

    ours, theirs = (version.split(".")[:2] for version in (pyspark.__version__, session.version))
    if ours != theirs:
        there = session.version
        session.stop()
        raise RecganError(
            f"SPARK_REMOTE is {remote}, where Spark {there} runs, but pyspark here is {pyspark.__version__}; "
            f"start a server of Spark {'.'.join(ours)} there"
        )


def _settings(folder: Path) -> Path:
    """Write settings for a Spark of this process alone; --conf in PYSPARK_SUBMIT_ARGS overrules them."""
    settings = {
        "spark.driver.memory": f"{memory.total() // 2**21}m",
        "spark.driver.maxResultSize": "0",  # the pairs of a large log are gigabytes
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    made = folder / "spark"
    made.mkdir()
    lines = "".join(f"{name} {value}\n" for name, value in settings.items())
    (made / "spark-defaults.conf").write_text(lines, encoding="utf-8")
    (made / "log4j2.properties").write_text(_QUIET, encoding="utf-8")
    return made


def address(path: Path) -> str:
    """Return how Spark names a file: with the scheme of local files, and no sign taken for a pattern."""
    return "file://" + re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path.resolve()))

"""Load on the recommendation server, and on `mlflow models serve` with the same model: p50, p99, requests/s.

    python benchmarks/serving.py [--recommender student] [--items 10000 100000] [--rate 500] [--seconds 20]
        [--connections 16] [--workers 1] [--swaps 10] [--without-load] [--kills 0] [--ends 0] [--restarts 0]
        [--postgres] [--without-impressions] [--without-mlflow]

The model is a student with 100 drawn neighbours an item: its speed is a student's, its answers mean nothing.
`--recommender two_stage` takes one in two stages instead: iALS with 64 factors and all that is known of items
are fitted on simulated histories, and a drawn discriminator of 32 hidden units judges 100 proposals.
Requests are histories of 1 to 20 items, k = 10, over connections that are kept open. Beside the latency at
the rate stands the processor time that the server took for a request, which other work on the machine moves
less.

Throughput is wrk's (https://github.com/wg/wrk, Debian: apt install wrk): one thread, the next request as
soon as the last is answered. It has no fixed rate, so the latency at one is measured here: requests are due
at that rate and timed from when they were due (an answer that is late makes the next ones late, and that
counts). Last, the alias is moved back and forth under wrk. Any answer but a 2xx and any broken connection
counts as failed. Both generators take their share of the cores: close everything else.

recgan logs each answer, unless --without-impressions. --kills loads it at the rate, kills it (SIGKILL) at any
moment, and counts the answers that were given and are not in the log, and those that stand there twice.
--ends asks it to end (SIGTERM) instead. --restarts has PostgreSQL stopped at once under the load, and started
again after one to four seconds; then the server is asked to end. The log is that in PostgreSQL where
RECGAN_SERVE_IMPRESSIONS_URL names one, or with --postgres (and PYTHONPATH=.), which starts one for the
benchmark. --without-load leaves out all but these.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from recgan.core.environment import configure

configure()

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import psutil  # noqa: E402
from scipy.sparse import csr_array  # noqa: E402

from recgan.data.impressions import DATABASE, logged, read_shown  # noqa: E402
from recgan.features.matrices import Features, HeldOut  # noqa: E402
from recgan.package.log import log_package  # noqa: E402
from recgan.recommenders.classical import save_classical  # noqa: E402
from recgan.recommenders.ials.recommender import IALS  # noqa: E402
from recgan.recommenders.student.recommender import Student  # noqa: E402
from recgan.recommenders.student.rows import Choice  # noqa: E402
from recgan.recommenders.two_stage.discriminator import Discriminator, Scale  # noqa: E402
from recgan.recommenders.two_stage.judged import Judged  # noqa: E402
from recgan.recommenders.two_stage.pairs import FEATURES  # noqa: E402
from recgan.recommenders.two_stage.recommender import TwoStage  # noqa: E402
from recgan.recommenders.two_stage.statistics import Statistics  # noqa: E402
from recgan.registry.tracking import connect  # noqa: E402
from recgan.settings import load_with_base  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"
NAME, NEIGHBOURS, USERS = "benchmark", 100, 1000
LOG = 10_000  # simulated shoppers that two stages are fitted on
IALS_OF = {"factors": 64, "regularization": 10, "alpha": 1, "iterations": 2}


def drawn_student(items: int, rng: np.random.Generator) -> Student:
    """Return a student with drawn weights."""
    params = load_with_base(EXAMPLES / "student-ml100k.yaml")
    student = Student(params.candidates["student"], Choice(0, 0, None, 1))
    columns = rng.integers(0, items, items * NEIGHBOURS, dtype=np.int32)
    starts = np.arange(0, items * NEIGHBOURS + 1, NEIGHBOURS, dtype=np.int32)
    weights = csr_array((rng.random(len(columns), dtype=np.float32), columns, starts), shape=(items, items))
    weights.sum_duplicates()
    student._weights, student._popularity = weights, rng.random(items, dtype=np.float32)
    return student


def simulated_two_stage(table: pd.DataFrame, rng: np.random.Generator) -> TwoStage:
    """Return one in two stages: both know simulated histories, the discriminator's weights are drawn."""
    log = drawn_histories(LOG, len(table), rng)
    generator = IALS(**IALS_OF, seed=0).fit(log)
    known = Statistics.fit(log, (rng.random(log.nnz) * 100).astype(np.float32), table)
    size, hidden = len(FEATURES), 32
    scale = Scale(*(np.full(size, value, np.float32) for value in (-9, 9, 0, 1)))
    parts = (rng.normal(size=shape).astype(np.float32) for shape in (size, (size, hidden), hidden, hidden))
    made = TwoStage(load_with_base(EXAMPLES / "shop.yaml").candidates["two_stage"], None)
    made.served = Judged(generator, known, Discriminator(scale, *parts), 100, exclude_seen=True)
    made.choice = {"proposals": 100, "hidden": hidden, "l2": 1.0, "epochs": 1}
    made.ablations = {"uniform": made.served, "generator": generator}
    made._generator = SimpleNamespace(
        save=lambda one, place: save_classical(place, "ials", one, IALS_OF | {"half_life_days": None}, None)
    )
    return made


def drawn_histories(users: int, items: int, rng: np.random.Generator) -> csr_array:
    """Return histories of up to 20 items, of which some are far more popular than others."""
    bought = (rng.random((users, 20)) ** 3 * items).astype(np.int32)
    rows = np.repeat(np.arange(users, dtype=np.int32), 20)
    found = csr_array((np.ones(bought.size, np.float32), (rows, bought.ravel())), shape=(users, items))
    found.data[:] = 1
    return found


def drawn_items(items: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return what a shop says of its products."""
    return pd.DataFrame(
        {
            "item_id": [f"item-{item}" for item in range(items)],
            "title": [f"Item {item} of kind {item % 1013}, colour {item % 97}" for item in range(items)],
            "category": [f"category-{item % 40}" for item in range(items)],
            "brand": [f"brand-{item % 500}" for item in range(items)],
            "price": rng.gamma(2, 10, items),
            "popularity": rng.integers(0, USERS, items),
        }
    )


def register(recommender: Student | TwoStage, table: pd.DataFrame, folder: Path) -> None:
    """Register a version of a recommender."""
    (folder / "recommender").mkdir(parents=True)
    recommender.save(folder / "recommender")
    history = drawn_histories(USERS, len(table), np.random.default_rng(0))
    users = np.array([f"user-{user}" for user in range(USERS)], dtype=object)
    features = Features(
        history, history, users, table, None, HeldOut(users[:0], history[:0], history[:0]), {"md5": ""}
    )
    with mlflow.start_run():
        settings = load_with_base(EXAMPLES / "shop.yaml").features
        package = log_package(folder / "recommender", features, settings, {})
    mlflow.register_model(package.model_uri, NAME)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, ready: str, port: int, *command: str):
    """Run one of recgan's servers until the block ends."""
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recgan", *command, "--name", NAME, "--port", str(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        try:
            for _ in range(600):
                if process.poll() is not None:
                    sys.exit((folder / f"{command[0]}.log").read_text())
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5):
                        break
                except OSError:
                    time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)


def bodies(items: int, of_mlflow: bool) -> list[bytes]:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(500):
        history = [f"item-{item}" for item in (rng.random(rng.integers(1, 21)) ** 3 * items).astype(int)]
        ours = {"history": [{"item_id": item} for item in history], "k": 10}
        theirs = {"dataframe_records": [{"history": history}], "params": {"k": 10}}
        found.append(json.dumps(theirs if of_mlflow else ours).encode())
    return found


REQUEST_ID = re.compile(rb'"request_id":"(\w+)"')


class Load:
    """Requests over kept connections, and how long each took."""

    def __init__(self, port: int, path: str, requests: list[bytes]) -> None:
        self.port = port
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self.requests = [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in requests]
        self.seconds: list[float] = []
        self.failed = 0
        self.given: dict[str, float] = {}
        """Id of each answer to when it came."""

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        """Send one request and read its answer."""
        writer.write(self.requests[number % len(self.requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields[b"content-length"]))
        self.failed += not head.startswith(b"HTTP/1.1 200")
        if found := REQUEST_ID.search(body):
            self.given[found[1].decode()] = time.perf_counter()

    async def connection(self, first: int, step: int, began: float, ends: float, rate: float) -> None:
        """Send every step-th request, each when it is due."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        number = first
        while True:
            now, due = time.perf_counter(), began + number / rate
            if max(due, now) >= ends:
                break
            if due > now:
                await asyncio.sleep(due - now)
            try:
                await self.one(reader, writer, number)
            except (OSError, EOFError):
                self.failed += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.seconds.append(time.perf_counter() - due)
            number += step
        writer.close()

    async def run(self, connections: int, seconds: float, rate: float) -> str:
        """Load the server and say what it did."""
        self.seconds, self.failed, began = [], 0, time.perf_counter()
        ends = began + seconds
        await asyncio.gather(
            *(self.connection(first, connections, began, ends, rate) for first in range(connections))
        )
        took = time.perf_counter() - began
        p50, p99 = np.quantile(self.seconds, [0.5, 0.99]) * 1000
        return (
            f"{rate:g} requests/s asked: {len(self.seconds) / took:.0f} requests/s, p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms, {len(self.seconds)} requests, {self.failed} failed"
        )


WRK = """
local bodies, next = {}, 0
function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
end
function request()
  next = next % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next])
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("figures %.1f %.3f %.3f %d %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
"""One thread's requests, in the order of the file; prints requests/s, p50 and p99 in ms, requests, failed."""


def wrk(folder: Path, port: int, path: str, requests: list[bytes], connections: int, seconds: float) -> str:
    """Load a server with wrk and say what it did."""
    (folder / "wrk.lua").write_text(WRK)
    (folder / "bodies").write_bytes(b"\n".join(requests))
    asked = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s"]
    asked += ["-s", str(folder / "wrk.lua"), f"http://127.0.0.1:{port}{path}", "--", str(folder / "bodies")]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    rate, p50, p99, done, failed = said.partition("figures ")[2].split()
    return (
        f"wrk: {float(rate):.0f} requests/s, p50 {float(p50):.1f} ms, p99 {float(p99):.1f} ms, "
        f"{done} requests, {failed} failed"
    )


@dataclass(frozen=True)
class Log:
    """Where the server logs its answers."""

    folder: Path
    """Of the server."""
    place: Any
    """Of the benchmark's own PostgreSQL, as flows.servers has it; None without one."""

    def restart(self) -> None:
        """Stop PostgreSQL as a crash would, and start it again after one to four seconds."""
        from flows import servers

        servers.postgres(self.place, "pg_ctl", "stop", "-m", "immediate", "-D", str(self.place.cluster))
        time.sleep(1 + 3 * random.random())
        servers.start_postgres(self.place)

    def request_ids(self) -> list[str]:
        """Return what stands there."""
        return read_shown(logged(self.folder, NAME))["request_id"].to_pylist()


@contextmanager
def own_postgres(folder: Path):
    """Have servers log to a PostgreSQL of the benchmark's own until the block ends."""
    from flows import servers

    place = servers.Place(folder)
    place.folder.mkdir(parents=True)
    servers.PORTS["postgres"] = free_port()
    servers.start_postgres(place)
    os.environ[DATABASE] = place.database("mlflow")
    try:
        yield place
    finally:
        servers.postgres(place, "pg_ctl", "stop", "-m", "immediate", "-D", str(place.cluster))
        shutil.rmtree(place.cluster)
        del os.environ[DATABASE]


def ended(how: str, log: Log, asked: argparse.Namespace, requests: list[bytes]) -> str:
    """End a server under load, or restart its database first, and say what its log lacks and has twice."""
    port = free_port()
    with server(log.folder, "/ready", port, "serve") as pid:
        load = Load(port, "/recommend", requests)

        async def run() -> float:
            tasks = [
                asyncio.create_task(
                    load.connection(first, asked.connections, time.perf_counter(), 1e12, asked.rate)
                )
                for first in range(asked.connections)
            ]
            await asyncio.sleep(3 + 3 * random.random())
            if how == "restarts":
                await asyncio.to_thread(log.restart)
                await asyncio.sleep(3)
            os.kill(pid, signal.SIGKILL if how == "kills" else signal.SIGTERM)
            at = time.perf_counter()
            await asyncio.gather(*tasks, return_exceptions=True)
            return at

        at = asyncio.run(run())
    found = Counter(log.request_ids())
    lost = [at - came for one, came in load.given.items() if one not in found]
    twice = sum(number > 1 for number in found.values())
    oldest = f", the oldest of them given {max(lost):.2f} s before" if lost else ""
    where = "PostgreSQL" if os.environ.get(DATABASE) else "files"
    return (
        f"{where}, {how}: after {len(load.given)} answers at {asked.rate:g} a second "
        f"{len(lost)} lost{oldest}, {twice} twice"
    )


def moving(moves: int, seconds: float) -> threading.Thread:
    """Begin to move the alias back and forth, evenly over the time."""
    client = connect()

    def move() -> None:
        for number in range(moves):
            client.set_registered_model_alias(NAME, "champion", str(2 - number % 2))
            time.sleep(seconds / moves)

    thread = threading.Thread(target=move)
    thread.start()
    return thread


def swaps_of(port: int) -> int:
    """Return how many versions all workers together have taken in."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith("recgan_model_swaps_total"))


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process and its children have taken."""
    parent = psutil.Process(pid)
    times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def loaded(
    who: str, folder: Path, port: int, pid: int, path: str, requests: list[bytes], asked: argparse.Namespace
) -> None:
    """Warm a server, then print its latency at the rate, with its processor time, and its throughput."""
    load = Load(port, path, requests)
    wrk(folder, port, path, requests, asked.connections, 2)
    before = cpu_of(pid)
    said = asyncio.run(load.run(asked.connections, asked.seconds, asked.rate))
    each = 1000 * (cpu_of(pid) - before) / max(1, len(load.seconds))
    print(f"{who}, {said}, {each:.2f} ms of processor time each", flush=True)
    print(f"{who}, {wrk(folder, port, path, requests, asked.connections, asked.seconds)}", flush=True)


def measure(folder: Path, items: int, asked: argparse.Namespace) -> None:
    """Measure both servers with a model of so many items."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    client = connect()
    mlflow.set_experiment(experiment_id=client.create_experiment(NAME, (folder / "mlartifacts").as_uri()))
    table = drawn_items(items, np.random.default_rng(0))
    for version in (1, 2):
        rng = np.random.default_rng(version)
        two_stage = asked.recommender == "two_stage"
        made = simulated_two_stage(table, rng) if two_stage else drawn_student(items, rng)
        register(made, table, folder / str(version))
    client.set_registered_model_alias(NAME, "champion", "1")
    busy = f"load average {os.getloadavg()[0]:.1f}"
    print(f"{asked.recommender}, {items} items, {asked.workers} worker(s), {busy}", flush=True)
    requests = bodies(items, of_mlflow=False)
    if not asked.without_load:
        measure_load(folder, asked, requests)
    how_often = {"kills": asked.kills, "ends": asked.ends, "restarts": asked.restarts}
    with own_postgres(folder / "postgres") if asked.postgres else nullcontext() as place:
        for how, times in how_often.items():
            for _ in range(times):
                print(f"recgan, {ended(how, Log(folder, place), asked, requests)}", flush=True)
    if not asked.without_mlflow:
        client.set_registered_model_alias(NAME, "champion", "1")
        port = free_port()
        with server(folder, "/ping", port, "serve-model") as pid:
            loaded("mlflow", folder, port, pid, "/invocations", bodies(items, of_mlflow=True), asked)


def measure_load(folder: Path, asked: argparse.Namespace, requests: list[bytes]) -> None:
    """Measure recgan's server under load as it is by default, and one that sees the alias move at once."""
    options = ["--workers", str(asked.workers)]
    options += ["--no-impressions"] if asked.without_impressions else []
    port = free_port()
    with server(folder, "/ready", port, "serve", *options) as pid:
        loaded("recgan", folder, port, pid, "/recommend", requests, asked)
    if not asked.swaps:
        return
    port = free_port()
    with server(folder, "/ready", port, "serve", *options, "--poll-seconds", "0.5"):
        before, seconds = swaps_of(port), 3.0 * asked.swaps
        mover = moving(asked.swaps, seconds)
        said = wrk(folder, port, "/recommend", requests, asked.connections, seconds)
        mover.join()
        time.sleep(2)
        swaps = swaps_of(port) - before
        print(f"recgan, alias moved {asked.swaps} times, {swaps} swaps, {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recommender", choices=["student", "two_stage"], default="student")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--without-load", action="store_true")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--ends", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--without-impressions", action="store_true")
    parser.add_argument("--without-mlflow", action="store_true")
    asked = parser.parse_args()
    if asked.restarts and not asked.postgres:
        sys.exit("--restarts stops a PostgreSQL, so give --postgres, which starts one for it")
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed; Debian: apt install wrk, elsewhere: https://github.com/wg/wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped as after Ctrl-C
    for items in asked.items:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), items, asked)


if __name__ == "__main__":
    main()

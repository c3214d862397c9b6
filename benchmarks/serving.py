"""Load on the recommendation server, and on `mlflow models serve` with the same model: p50, p99, requests/s.

    python benchmarks/serving.py [--items 10000] [--rate 500] [--seconds 20] [--connections 16] [--workers 1]
        [--swaps 10] [--without-mlflow]

The model is a student with 100 drawn neighbours an item: its speed is a student's, its answers mean nothing.
Requests are histories of 1 to 20 items, k = 10, over connections that are kept open. They are due at a fixed
rate and timed from when they were due (an answer that is late makes the next ones late, and that counts);
then as many as go in turn, for the throughput. Last, the alias is moved back and forth under the same load.
The generator is Python on the same machine and takes its share of the cores: close everything else.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from recgan.environment import configure

configure()

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy.sparse import csr_array  # noqa: E402

from recgan.features.matrices import Features, HeldOut  # noqa: E402
from recgan.params import load_params  # noqa: E402
from recgan.recommenders.student import Choice, Student  # noqa: E402
from recgan.registry.package import log_package  # noqa: E402
from recgan.registry.tracking import connect  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "student-ml100k.yaml"
NAME, NEIGHBOURS, USERS = "benchmark", 100, 1000


def register(items: int, folder: Path, seed: int) -> None:
    """Register a version of a student with drawn weights."""
    rng = np.random.default_rng(seed)
    params = load_params(EXAMPLE)
    student = Student(params.train, Choice(0, 0, None, 1))
    columns = rng.integers(0, items, items * NEIGHBOURS, dtype=np.int32)
    starts = np.arange(0, items * NEIGHBOURS + 1, NEIGHBOURS, dtype=np.int32)
    weights = csr_array((rng.random(len(columns), dtype=np.float32), columns, starts), shape=(items, items))
    weights.sum_duplicates()
    student._weights, student._popularity = weights, rng.random(items, dtype=np.float32)
    (folder / "recommender").mkdir(parents=True)
    student.save(folder / "recommender")
    bought = (rng.random((USERS, 20)) ** 3 * items).astype(np.int32)
    history = csr_array(
        (np.ones(bought.size, np.float32), (np.repeat(np.arange(USERS), 20), bought.ravel())),
        shape=(USERS, items),
    )
    users = np.array([f"user-{user}" for user in range(USERS)], dtype=object)
    table = pd.DataFrame(
        {
            "item_id": [f"item-{item}" for item in range(items)],
            "title": [f"Item {item}" for item in range(items)],
            "category": [f"category-{item % 40}" for item in range(items)],
            "price": rng.gamma(2, 10, items),
            "popularity": rng.integers(0, USERS, items),
        }
    )
    features = Features(
        history, history, users, table, None, HeldOut(users[:0], history[:0], history[:0]), {"md5": ""}
    )
    with mlflow.start_run():
        package = log_package(folder / "recommender", features, params.features, {})
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
            yield
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


class Load:
    """Requests over kept connections, and how long each took."""

    def __init__(self, port: int, path: str, requests: list[bytes]) -> None:
        self.port = port
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        self.requests = [head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body for body in requests]
        self.seconds: list[float] = []
        self.failed = 0

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        """Send one request and read its answer."""
        writer.write(self.requests[number % len(self.requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        await reader.readexactly(int(fields[b"content-length"]))
        self.failed += not head.startswith(b"HTTP/1.1 200")

    async def connection(self, first: int, step: int, began: float, ends: float, rate: float | None) -> None:
        """Send every step-th request, each when it is due; without a rate as soon as the last is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        number = first
        while True:
            now = time.perf_counter()
            due = now if rate is None else began + number / rate
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

    async def run(self, connections: int, seconds: float, rate: float | None) -> str:
        """Load the server and say what it did."""
        self.seconds, self.failed, began = [], 0, time.perf_counter()
        ends = began + seconds
        await asyncio.gather(
            *(self.connection(first, connections, began, ends, rate) for first in range(connections))
        )
        took = time.perf_counter() - began
        p50, p99 = np.quantile(self.seconds, [0.5, 0.99]) * 1000
        asked = "as many as go" if rate is None else f"{rate:g} requests/s asked"
        return (
            f"{asked}: {len(self.seconds) / took:.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"{self.failed} failed"
        )


async def swaps(load: Load, moves: int, connections: int, seconds: float, rate: float) -> str:
    """Move the alias under load."""
    client = connect()

    async def move() -> None:
        for number in range(moves):
            version = str(2 - number % 2)
            await asyncio.to_thread(client.set_registered_model_alias, NAME, "champion", version)
            await asyncio.sleep(seconds / moves)

    moving = asyncio.create_task(move())
    said = await load.run(connections, seconds, rate)
    await moving
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--without-mlflow", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        client = connect()
        mlflow.set_experiment(experiment_id=client.create_experiment(NAME, (folder / "mlartifacts").as_uri()))
        for version in (1, 2):
            register(asked.items, folder / str(version), seed=version)
        client.set_registered_model_alias(NAME, "champion", "1")
        print(f"{asked.items} items, {asked.workers} worker(s), load average {os.getloadavg()[0]:.1f}")
        port = free_port()
        options = ["--workers", str(asked.workers), "--poll-seconds", "0.5"]
        with server(folder, "/ready", port, "serve", *options):
            load = Load(port, "/recommend", bodies(asked.items, of_mlflow=False))
            asyncio.run(load.run(asked.connections, 2, None))  # warm
            print("recgan, ", asyncio.run(load.run(asked.connections, asked.seconds, asked.rate)))
            print("recgan, ", asyncio.run(load.run(asked.connections, asked.seconds, None)))
            said = asyncio.run(swaps(load, asked.swaps, asked.connections, 3 * asked.swaps, asked.rate))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                text = answer.read().decode()
            swapped = [line for line in text.splitlines() if line.startswith("recgan_model_swaps_total")]
            print(f"recgan, alias moved {asked.swaps} times ({swapped[0]}, first load included),", said)
        if not asked.without_mlflow:
            client.set_registered_model_alias(NAME, "champion", "1")
            port = free_port()
            with server(folder, "/ping", port, "serve-model"):
                load = Load(port, "/invocations", bodies(asked.items, of_mlflow=True))
                asyncio.run(load.run(asked.connections, 2, None))
                print("mlflow, ", asyncio.run(load.run(asked.connections, asked.seconds, asked.rate)))
                print("mlflow, ", asyncio.run(load.run(asked.connections, asked.seconds, None)))


if __name__ == "__main__":
    main()

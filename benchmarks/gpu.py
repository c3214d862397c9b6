"""Measure RC-GAN, CFGAN, DCGAN and the sequence model on a GPU, in float32 and bfloat16.

    python benchmarks/gpu.py [--device cuda|cpu] [--small] [--seeds 2] [--out FILE]

It makes its data itself and needs no network, no MLflow and no DVC: gpu-requirements.txt lists the packages
that it needs beside PyTorch. Within 8 minutes it prints for each network, loop and precision, the first three
beside plain PyTorch loops,

- steps a second: the optimizer's, of both players, in the median of three trainings;
- what bounds them, and how near they are to it. A step takes at least its arithmetic over the peak of a large
  matrix product, its traffic over the rate of a large copy, and its operations times the time of the smallest
  one. The longest of the three is the bound, of which a share of the measured time is printed. All three are
  counted while an epoch runs, each operation as if it read and wrote all that it names;
- the most memory that tensors had on the GPU.

RC-GAN with batches of 2,048 rows has its losses once by Gramians and once written out; under autocast, as in
bf16-mixed, they are always written out. 30,000 x 41,000 follows, with batches of 128 and 2,048.

Then it compares what was learned with the CPU's over a few seeds: the NDCG@10 of held-out items, and DCGAN's
Fréchet distance in pixels.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent))

from plain_loop import plain_cfgan, plain_rcgan

from recgan.adversarial.settings import TrainerParams
from recgan.images.gan import ImageGAN
from recgan.images.labelled import Labelled
from recgan.images.measures import frechet_distance, gaussian
from recgan.images.networks import networks
from recgan.images.settings import TrainImagesParams
from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.cfgan.settings import CFGANParams
from recgan.recommenders.protocol import recommend
from recgan.recommenders.ranking import ndcg
from recgan.recommenders.rcgan import game as rcgan_game
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.sequence.recommender import Sequence
from recgan.recommenders.sequence.settings import SequenceParams

PRECISIONS = ("32-true", "bf16-mixed")
TASTES = 40
CLASSES = tuple("0123456789")


# --- data -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """Users with a few tastes each: what they had, and what is held out."""

    train: csr_array
    held_out: csr_array


def make_shop(users: int, items: int, each: int, seed: int = 0) -> Shop:
    """Draw `each` items for every user, most of them of the user's two tastes, one in five held out."""
    rng = np.random.default_rng(seed)
    taste_of = rng.integers(0, TASTES, items)
    popular = rng.lognormal(0, 1, items)
    rows, columns = [], []
    for user in range(users):
        own = rng.choice(TASTES, 2, replace=False)
        weights = popular * np.where(np.isin(taste_of, own), 20, 1)
        rows.append(np.full(each, user))
        columns.append(rng.choice(items, each, replace=False, p=weights / weights.sum()))
    out = rng.random(users * each) < 0.2
    user, item = np.concatenate(rows), np.concatenate(columns)

    def matrix(which: NDArray[np.bool_]) -> csr_array:
        values = np.ones(which.sum(), dtype=np.float32)
        return csr_array((values, (user[which], item[which])), shape=(users, items))

    return Shop(matrix(~out), matrix(out))


def make_catalogue(users: int, items: int, each: int, seed: int = 0) -> csr_array:
    """Draw histories of about `each` items quickly: half of the user's own taste, half of what is popular."""
    rng = np.random.default_rng(seed)
    reached = np.cumsum(rng.lognormal(0, 1.5, items))
    block = items // TASTES
    anywhere = rng.random((users, each)) * reached[-1]
    first = rng.integers(0, TASTES, users) * block
    low, high = reached[first][:, None], reached[first + block - 1][:, None]
    own = low + rng.random((users, each)) * (high - low)
    places = np.where(rng.random((users, each)) < 0.5, own, anywhere)
    columns = np.minimum(np.searchsorted(reached, places.ravel()), items - 1)
    drawn = (np.ones(users * each, dtype=np.float32), (np.repeat(np.arange(users), each), columns))
    histories = csr_array(drawn, shape=(users, items))
    histories.data[:] = 1  # what was drawn twice
    return histories


def make_images(n: int, side: int, seed: int = 0) -> Labelled:
    """Draw images of ten classes: a bar at an angle of its own, somewhere near the middle."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    angle = labels * np.pi / 10 + rng.normal(0, 0.05, n)
    shift = rng.normal(0, side / 16, (n, 2))
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    x = across[None] - side / 2 - shift[:, 0, None, None]
    y = down[None] - side / 2 - shift[:, 1, None, None]
    away = np.abs(x * np.sin(angle)[:, None, None] - y * np.cos(angle)[:, None, None])
    along = np.abs(x * np.cos(angle)[:, None, None] + y * np.sin(angle)[:, None, None])
    ink = np.exp(-((away / (side / 10)) ** 2)) * (along < side / 3)
    return Labelled((255 * ink).astype(np.uint8), labels.astype(np.int64))


# --- settings -------------------------------------------------------------------------------------------


def trainer(device: str, precision: str) -> TrainerParams:
    """Return the settings of Lightning's Trainer."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    return TrainerParams(
        accelerator=accelerator, devices=1, num_nodes=1, strategy="auto", precision=precision, max_time=None
    )


COMMON = {"patience": None, "evaluate_every": 10**6, "look_users": None, "refit": False}
ALARMS = {"grace": 5, "gradient_growth": None, "effective_items": None, "effective_rank": None}
ADAM = {"betas": (0.9, 0.999), "clip_gradient": None}
CONSTRAINTS = {"clip_weights": None, "gradient_penalty": 0, "r1": 0, "r2": 0, "spectral_norm": False}


def rcgan_settings(
    hidden: int, epochs: int, seed: int, on: TrainerParams, batch_size: int = 128
) -> RCGANParams:
    """Return RC-GAN's settings; its learning rate grows with the root of the batch."""
    rate = 5e-4 * (batch_size / 128) ** 0.5
    side = {
        "hidden": [hidden],
        "dropout": 0.5,
        "learning_rate": rate,
        "weight_decay": 3,
        "batch_size": batch_size,
    }
    return RCGANParams.model_validate(
        {
            **COMMON,
            "recommender": "rcgan",
            "seed": seed,
            "trainer": on.model_dump(),
            "epochs": epochs,
            "generator": side,
            "critic": side,
            "unobserved_weight": 0.3,
            "user_weight_power": 0,
            "adversarial": 2,
            "gradient_penalty": 1,
            "critic_shares": [0],
            "fold_in_l2": 5,
            "half_life_days": [None],
            "warm_start": None,
            "alarms": ALARMS,
        }
    )


def cfgan_settings(hidden: int, epochs: int, seed: int, on: TrainerParams) -> CFGANParams:
    """Return CFGAN's settings, item-based with zero reconstruction and partial masking."""
    side = {"hidden": [hidden], "learning_rate": 1e-4, "l2": 1e-3, "batch_size": 64, "steps": 1}
    return CFGANParams.model_validate(
        {
            **COMMON,
            "recommender": "cfgan",
            "seed": seed,
            "trainer": on.model_dump(),
            "epochs": epochs,
            "view": "item",
            "loss": "non_saturating",
            "stability": {
                "generator": ADAM,
                "discriminator": ADAM,
                "label_smoothing": 0,
                "feature_matching": 0,
                "constraints": CONSTRAINTS,
                "schedule": {"critic_steps": None, "warm_up": 0, "ramp": 0, "ema": None},
                "alarms": {**ALARMS, "win_rate": None},
            },
            "generator": side,
            "discriminator": side,
            "zero_reconstruction_share": 0.7,
            "zero_reconstruction": 0.03,
            "partial_masking_share": 0.7,
            "fold_in_l2": 5,
        }
    )


def sequence_settings(width: int, epochs: int, seed: int, on: TrainerParams) -> SequenceParams:
    """Return the sequence model's settings."""
    return SequenceParams.model_validate(
        {
            **COMMON,
            "recommender": "sequence",
            "seed": seed,
            "trainer": on.model_dump(),
            "epochs": epochs,
            "width": width,
            "layers": 1,
            "max_length": 50,
            "dropout": 0.3,
            "ahead": 1,
            "tied": False,
            "temperature": 0.1,
            "negatives": 1000,
            "learning_rate": 3e-3,
            "batch_size": 128,
            "warm_start": None,
            "alarms": ALARMS,
        }
    )


def image_settings(epochs: int, seed: int, on: TrainerParams, batch_size: int) -> TrainImagesParams:
    """Return DCGAN's settings."""
    player = {"learning_rate": 5e-4, "betas": [0.5, 0.999], "clip_gradient": None}
    return TrainImagesParams.model_validate(
        {
            "network": "dcgan",
            "conditional": True,
            "seed": seed,
            "trainer": on.model_dump(),
            "loss": "non_saturating",
            "label_smoothing": 0,
            "noise": 100,
            "generator": {**player, "hidden": [256, 128, 64]},
            "discriminator": {**player, "hidden": [64, 128], "dropout": 0},
            "constraints": CONSTRAINTS,
            "critic_steps": 1,
            "ema": None,
            "batch_size": batch_size,
            "epochs": epochs,
            "evaluate_every": 10**6,
            "patience": None,
            "samples": 1000,
            "min_classes": 1,
        }
    )


def plain_dcgan(settings: TrainImagesParams, images: Labelled, device: torch.device) -> nn.Module:
    """Train DCGAN as one writes it down in PyTorch: one step of each player on every batch."""
    rng = torch.Generator().manual_seed(settings.seed)
    generator, discriminator = (one.to(device) for one in networks(settings, images.pixels.shape[1], 10, rng))
    pixels = torch.as_tensor(images.pixels.reshape(len(images.pixels), -1), device=device)
    labels = torch.as_tensor(images.labels, device=device)
    rates = {"lr": settings.generator.learning_rate, "betas": settings.generator.betas}
    g_adam = torch.optim.Adam(generator.parameters(), **rates)
    rates["lr"] = settings.discriminator.learning_rate
    d_adam = torch.optim.Adam(discriminator.parameters(), **rates)
    bce = nn.BCEWithLogitsLoss()
    size, halves = settings.batch_size, settings.trainer.precision == "bf16-mixed"

    def written(classes: Tensor) -> Tensor:
        fake: Tensor = generator(torch.randn(size, settings.noise, device=device), classes)
        return fake

    for _ in range(settings.epochs):
        for batch in torch.randperm(len(pixels), device=device).split(size):
            if len(batch) < size:
                continue
            real, classes = pixels[batch].float() / 127.5 - 1, labels[batch]
            with torch.autocast(device.type, torch.bfloat16, enabled=halves):
                with torch.no_grad():
                    fake = written(classes)
                ones, zeros = torch.ones(size, device=device), torch.zeros(size, device=device)
                loss = bce(discriminator(real, classes), ones) + bce(discriminator(fake, classes), zeros)
            d_adam.zero_grad()
            loss.backward()
            d_adam.step()
            with torch.autocast(device.type, torch.bfloat16, enabled=halves):
                loss = bce(discriminator(written(classes), classes), ones)
            g_adam.zero_grad()
            loss.backward()
            g_adam.step()
    return generator


# --- what a training costs ------------------------------------------------------------------------------


def _of_linear(rows: Any, weight: Any, *others: Any, **more: Any) -> int:
    return int(2 * rows[0] * rows[1] * weight[0])


def _of_bags(weight: Any, indices: Any, *others: Any, **more: Any) -> int:
    return int(2 * indices[0] * weight[1])


_UNCOUNTED = {
    torch.ops.aten._embedding_bag: _of_bags,
    torch.ops.aten._embedding_bag_forward_only: _of_bags,
    torch.ops.mkldnn._linear_pointwise: _of_linear,
}
"""Products that PyTorch's counter leaves out → their arithmetic."""


def count_flops() -> FlopCounterMode:
    """Return a counter of multiplications and additions."""
    return FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)


class _Traffic(TorchDispatchMode):
    """Counts operations and the bytes of the tensors that each names."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            named = [one for one in tree_leaves((args, kwargs, result)) if isinstance(one, Tensor)]
            self.bytes += sum(one.numel() * one.element_size() for one in named)
            self.operations += 1
        return result


@dataclass(frozen=True)
class Peaks:
    """What the device can do at best."""

    flops: dict[str, float]
    """Precision → operations a second of a large matrix product."""
    bytes: float
    """Read and written a second by a large copy."""
    launch: float
    """Seconds of the smallest operation."""


def clock(device: str, work: Callable[[], object], repeat: int) -> float:
    """Return the seconds of one of several runs of some work, the device's included."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeat


def measure_peaks(device: str, small: bool) -> Peaks:
    """Time a large matrix product in each precision, a large copy, and the smallest operation."""
    n = 512 if small else 8192
    flops = {}
    for precision, kind in zip(PRECISIONS, (torch.float32, torch.bfloat16), strict=True):
        a = torch.randn(n, n, device=device, dtype=kind)
        clock(device, lambda a=a: a @ a, 2)
        flops[precision] = 2 * n**3 / clock(device, lambda a=a: a @ a, 5)
    source = torch.zeros((2**24 if small else 2**28) // 4, device=device)
    target = torch.empty_like(source)
    clock(device, lambda: target.copy_(source), 2)
    rate = 2 * source.numel() * 4 / clock(device, lambda: target.copy_(source), 10)
    one = torch.zeros(1, device=device)
    clock(device, lambda: one.add_(1), 100)
    return Peaks(flops, rate, clock(device, lambda: one.add_(1), 1000))


@dataclass(frozen=True)
class Cost:
    """A row of the table."""

    network: str
    loop: str
    precision: str
    steps_a_second: float
    bound: str
    share_of_bound: float
    gigabytes: float | None


def measure_cost(
    name: str,
    loop: str,
    precision: str,
    fit: Callable[[int], object],
    steps: int,
    device: str,
    peaks: Peaks,
    trainings: int = 3,
    seconds: float = 3,
) -> Cost:
    """Time trainings and count what an epoch of them does.

    Args:
        name: of the network.
        loop: whose loop it is.
        precision: of the Trainer.
        fit: trains for so many epochs.
        steps: the optimizers' in an epoch.
        device: cuda or cpu.
        peaks: of the device.
        trainings: of which the median is taken.
        seconds: about what each takes.
    """
    fit(1)  # imports, kernels and caches are no one's fault
    with count_flops() as flops, _Traffic() as traffic:
        fit(2)
    with count_flops() as first_flops, _Traffic() as first:
        fit(1)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    once = clock(device, lambda: fit(1), 1)
    epochs = 1 + max(1, min(200, round(seconds / max(once, 1e-3))))
    taken = [
        clock(device, lambda: fit(epochs), 1) - clock(device, lambda: fit(1), 1) for _ in range(trainings)
    ]
    epoch = statistics.median(taken) / (epochs - 1)
    bounds = {
        "arithmetic": (flops.get_total_flops() - first_flops.get_total_flops()) / peaks.flops[precision],
        "memory": (traffic.bytes - first.bytes) / peaks.bytes,
        "launches": (traffic.operations - first.operations) * peaks.launch,
    }
    bound = max(bounds, key=lambda one: bounds[one])
    used = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return Cost(name, loop, precision, steps / epoch, bound, bounds[bound] / epoch, used)


def costs(device: str, small: bool, peaks: Peaks) -> list[Cost]:
    """Measure every network in every precision, ours and the plain loop."""
    shop = make_shop(300, 200, 10) if small else make_shop(20_000, 10_000, 40)
    dense = make_shop(200, 150, 10) if small else make_shop(6_000, 4_000, 40)
    images = make_images(200, 8) if small else make_images(10_000, 28)
    hidden, batch = (16, 32) if small else (400, 128)
    often = (1, 0.2) if small else (3, 3)
    where = torch.device(device)
    rows = []
    for precision in PRECISIONS:
        on = trainer(device, precision)
        users, items = shop.train.shape
        rcgan_steps = -(-users // 128) - (-items // 128)

        def ours_rcgan(epochs: int, on: TrainerParams = on) -> object:
            return RCGAN(rcgan_settings(hidden, epochs, 0, on)).fit(shop.train)

        def theirs_rcgan(epochs: int, on: TrainerParams = on) -> object:
            return plain_rcgan(rcgan_settings(hidden, epochs, 0, on), shop.train, where)

        cfgan_steps = 2 * -(-dense.train.shape[1] // 64)

        def ours_cfgan(epochs: int, on: TrainerParams = on) -> object:
            return CFGAN(cfgan_settings(hidden, epochs, 0, on)).fit(dense.train)

        def theirs_cfgan(epochs: int, on: TrainerParams = on) -> object:
            return plain_cfgan(cfgan_settings(hidden, epochs, 0, on), dense.train, where)

        dcgan_steps = 2 * (len(images.pixels) // batch)

        def ours_dcgan(epochs: int, on: TrainerParams = on) -> object:
            return ImageGAN(image_settings(epochs, 0, on, batch), images.pixels.shape[1], CLASSES).fit(images)

        def theirs_dcgan(epochs: int, on: TrainerParams = on) -> object:
            return plain_dcgan(image_settings(epochs, 0, on, batch), images, where)

        for name, steps, ours, theirs in (
            ("RC-GAN", rcgan_steps, ours_rcgan, theirs_rcgan),
            ("CFGAN", cfgan_steps, ours_cfgan, theirs_cfgan),
            ("DCGAN", dcgan_steps, ours_dcgan, theirs_dcgan),
        ):
            for loop, fit in (("recgan", ours), ("plain", theirs)):
                rows.append(measure_cost(name, loop, precision, fit, steps, device, peaks, *often))
                show(rows[-1])
        days = np.random.default_rng(0).random(shop.train.nnz).astype(np.float32)

        def ours_sequence(epochs: int, on: TrainerParams = on, days: NDArray[np.float32] = days) -> object:
            return Sequence(sequence_settings(64, epochs, 0, on), lambda _: days).fit(shop.train)

        rows.append(
            measure_cost(
                "sequence", "recgan", precision, ours_sequence, -(-users // 128), device, peaks, *often
            )
        )
        show(rows[-1])
        rows += large_batches("RC-GAN", shop.train, hidden, [2048], on, device, peaks, *often)
    catalogue = make_catalogue(300, 410, 10) if small else make_catalogue(30_000, 41_000, 27)
    for precision in PRECISIONS:
        on = trainer(device, precision)
        rows += large_batches(
            "RC-GAN, 30,000 x 41,000", catalogue, hidden, [128, 2048], on, device, peaks, 1, often[1]
        )
    return rows


def large_batches(
    name: str,
    histories: csr_array,
    hidden: int,
    batches: list[int],
    on: TrainerParams,
    device: str,
    peaks: Peaks,
    trainings: int = 3,
    seconds: float = 3,
) -> list[Cost]:
    """Measure RC-GAN at some batches: by Gramians where they pay and nothing is rounded, and written out.

    Where one training is to do, what Gramians take is not written out as well.
    """
    rows, pays = [], rcgan_game.pays
    for batch in batches:
        steps = sum(-(-n_rows // batch) for n_rows in histories.shape)

        def fit(epochs: int, batch: int = batch) -> object:
            return RCGAN(rcgan_settings(hidden, epochs, 0, on, batch)).fit(histories)

        by_gramians = pays(batch, hidden, hidden) and on.precision == "32-true"
        ways = ["Gramians", "written out"] if trainings > 1 else ["Gramians"]
        for how in ways if by_gramians else ["written out"]:
            rcgan_game.pays = pays if how == "Gramians" else lambda *_: False
            label = f"{name}, batches of {batch:,}"
            rows.append(measure_cost(label, how, on.precision, fit, steps, device, peaks, trainings, seconds))
            show(rows[-1])
    rcgan_game.pays = pays
    return rows


def show(cost: Cost) -> None:
    """Print a row of the table."""
    memory = "" if cost.gigabytes is None else f"{cost.gigabytes:.2f} GiB"
    print(
        f"| {cost.network} | {cost.loop} | {cost.precision} | {cost.steps_a_second:,.0f} | "
        f"{cost.share_of_bound:.0%} of {cost.bound} | {memory} |",
        flush=True,
    )


# --- what is learned ------------------------------------------------------------------------------------


def held_out_ndcg(recommender: Any, shop: Shop) -> float:
    """Return NDCG@10 of the held-out items."""
    ranking, _ = recommend(recommender, shop.train, 10)
    asked = np.flatnonzero(np.diff(shop.held_out.indptr))
    return float(ndcg(ranking[asked], csr_array(shop.held_out[asked]), 10).mean())


def pixel_distance(gan: ImageGAN, images: Labelled) -> float:
    """Return the Fréchet distance of generated images from others, in pixels."""
    drawn = gan.write(np.arange(1000) % 10, torch.Generator().manual_seed(1))
    real = gaussian(images.pixels.reshape(len(images.pixels), -1)[:1000].astype(np.float64))
    return float(frechet_distance(gaussian(drawn.reshape(1000, -1).astype(np.float64)), real))


def learned(device: str, small: bool, seeds: int) -> dict[str, dict[str, list[float]]]:
    """Train every network on the CPU and on the device, and return what each seed reached."""
    shop = make_shop(200, 150, 10) if small else make_shop(1_500, 1_000, 30)
    images = make_images(300, 8)
    epochs = 2 if small else 30
    places = [("cpu", "32-true"), *((device, precision) for precision in PRECISIONS)]
    found: dict[str, dict[str, list[float]]] = {"RC-GAN": {}, "CFGAN": {}, "DCGAN": {}}
    for where, precision in dict.fromkeys(places):
        on, place = trainer(where, precision), f"{where} {precision}"
        for seed in range(seeds):
            rcgan = RCGAN(rcgan_settings(100, epochs, seed, on)).fit(shop.train)
            cfgan = CFGAN(cfgan_settings(100, epochs, seed, on)).fit(shop.train)
            dcgan = ImageGAN(image_settings(epochs, seed, on, 32), 8, CLASSES).fit(images)
            found["RC-GAN"].setdefault(place, []).append(held_out_ndcg(rcgan, shop))
            found["CFGAN"].setdefault(place, []).append(held_out_ndcg(cfgan, shop))
            found["DCGAN"].setdefault(place, []).append(pixel_distance(dcgan, make_images(1000, 8, seed=9)))
    return found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes that show nothing, to try the script")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; --device cpu --small tries the script without one")
    start = time.perf_counter()
    card = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    peaks = measure_peaks(options.device, options.small)
    print(f"{card}, torch {torch.__version__}")
    for precision, rate in peaks.flops.items():
        print(f"matrix product in {precision}: {rate / 1e12:.1f} TFLOP/s")
    print(f"copy: {peaks.bytes / 1e9:,.0f} GB/s; smallest operation: {peaks.launch * 1e6:.1f} µs\n")
    print("| network | loop | precision | steps/s | share of the bound | memory |")
    print("|---|---|---|---:|---|---:|")
    rows = costs(options.device, options.small, peaks)
    print("\n| network | device and precision | mean | of each seed |\n|---|---|---:|---|")
    found = learned(options.device, options.small, options.seeds)
    for network, places in found.items():
        for place, values in places.items():
            each = ", ".join(f"{value:.4g}" for value in values)
            print(f"| {network} | {place} | {statistics.mean(values):.4g} | {each} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s in all")
    if options.out is not None:
        content = {
            "card": card,
            "peaks": asdict(peaks),
            "costs": [asdict(row) for row in rows],
            "learned": found,
        }
        options.out.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The benchmark for a GPU names its settings in full; a machine with one is lent too seldom to find a gap."""

import importlib.util
from pathlib import Path

import pytest

from recgan.adversarial.settings import ONE_DEVICE, TrainerParams

BENCHMARK = Path(__file__).parents[2] / "benchmarks/gpu.py"
ON = TrainerParams(accelerator="cpu", precision="32-true", max_time=None, **ONE_DEVICE)


@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        ("rcgan_settings", (8, 1, 0, ON, 16)),
        ("cfgan_settings", (8, 1, 0, ON)),
        ("sequence_settings", (32, 1, 0, ON)),
        ("image_settings", (1, 0, ON, 16)),
    ],
)
def test_settings_of_the_gpu_benchmark_hold(made: str, arguments: tuple[object, ...]) -> None:
    spec = importlib.util.spec_from_file_location("gpu", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert getattr(module, made)(*arguments).trainer == ON

"""Where to play."""

import os

import torch

from recgan.core.errors import RecganError


def pick_device(accelerator: str) -> torch.device:
    """Return the device that this process trains on.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        # torchrun names each process of a machine.
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if accelerator == "gpu":
        raise RecganError(
            "trainer.accelerator is gpu, but torch sees no CUDA GPU here; set it to auto or cpu"
        )
    return torch.device("cpu")

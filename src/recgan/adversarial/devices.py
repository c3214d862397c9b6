"""Where to play."""

import torch

from recgan.core.errors import RecganError


def pick_device(accelerator: str) -> torch.device:
    """Return the device to train on.

    Raises:
        RecganError: a GPU is asked for and there is none.
    """
    if accelerator == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator == "gpu":
        raise RecganError("train.accelerator is gpu, but torch sees no CUDA GPU here; set it to auto or cpu")
    return torch.device("cpu")

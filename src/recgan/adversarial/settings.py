"""The parts of a params file that an adversarial training reads."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from recgan.core.sections import Count, NonNegative, Positive, Section


class NetworkParams(Section):
    """One side of the game: network and optimiser."""

    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Width of each hidden layer."""
    learning_rate: Positive
    """Step of the optimiser."""
    l2: NonNegative
    """Coefficient of half the squared norm of all weights in the loss."""
    batch_size: Count
    """Rows in a batch."""
    steps: Count
    """Passes over the rows in one epoch."""


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamParams(Section):
    """What one side's Adam needs beside its rate."""

    betas: tuple[Beta, Beta]
    """Decay of the gradient's first and second moment; [0, 0.9] is customary with gradient penalties."""
    clip_gradient: Positive | None
    """Largest norm of the gradient in a step; null leaves it as it is."""


class ConstraintParams(Section):
    """What keeps the discriminator from growing without bound; several may be on."""

    clip_weights: Positive | None
    """Largest absolute weight after each step (Arjovsky et al. 2017: 0.01); null clips none."""
    gradient_penalty: NonNegative
    """λ of WGAN-GP: the slope between real and fake is drawn to 1 (Gulrajani et al. 2017: 10)."""
    r1: NonNegative
    """γ of half the squared slope at real rows (Mescheder et al. 2018)."""
    r2: NonNegative
    """γ of half the squared slope at fake rows."""
    spectral_norm: bool
    """True keeps the largest singular value of every weight matrix at 1 (Miyato et al. 2018)."""


class ScheduleParams(Section):
    """Who plays when, and what is kept of it."""

    critic_steps: Count | None
    """Discriminator steps before each generator step; null plays all of one turn, then all of the other."""
    warm_up: Annotated[int, Field(ge=0)]
    """Epochs at the start in which the discriminator learns but the generator does not hear it."""
    ramp: Annotated[int, Field(ge=0)]
    """Epochs after that in which the adversarial loss rises linearly to its whole weight."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay per step of the average of the generator's weights, which is then what is evaluated and saved."""


def _days_to_seconds(text: str) -> str:
    if re.fullmatch(r"\d\d:\d\d:\d\d:\d\d", text) is None:
        raise ValueError('is not written as days:hours:minutes:seconds; two hours are "00:02:00:00"')
    return text


class TrainerParams(Section):
    """Where and how a training runs: what Lightning's Trainer is given."""

    accelerator: Literal["auto", "cpu", "gpu"]
    """auto takes a GPU where there is one."""
    devices: Count | Literal["auto"]
    """Devices of each machine."""
    num_nodes: Count
    """Machines."""
    strategy: Literal["auto", "ddp_find_unused_parameters_true"]
    """How several devices work together. The players take turns: each step leaves half the weights unused."""
    precision: Literal["auto", "32-true", "bf16-mixed"]
    """auto is bf16-mixed on a GPU and 32-true elsewhere."""
    max_time: Annotated[str, AfterValidator(_days_to_seconds)] | None
    """Days:hours:minutes:seconds after which no further epoch begins; null sets no limit."""

    @model_validator(mode="after")
    def _several_take_turns(self) -> Self:
        if self.strategy == "auto" and not self.alone:
            raise ValueError(
                f"with devices {self.devices} and num_nodes {self.num_nodes} the strategy must be "
                "ddp_find_unused_parameters_true, as each step leaves one player's weights unused"
            )
        return self

    @property
    def alone(self) -> bool:
        """Whether one device trains."""
        return self.devices == self.num_nodes == 1

    @property
    def on_cpu(self) -> int:
        """How many processes train on the CPU of one machine."""
        return 1 if self.devices == "auto" else self.devices


ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}


def one_device(name: str, trainer: TrainerParams) -> None:
    """Refuse several devices for what trains on one.

    Raises:
        ValueError: the trainer has several, or as many as there are.
    """
    if not trainer.alone:
        raise ValueError(
            f"trainer.devices is {trainer.devices} and num_nodes {trainer.num_nodes}, but {name} trains on "
            "one device; set both to 1"
        )


class TrainSection(Section):
    """A train section that holds a trainer."""

    @model_validator(mode="before")
    @classmethod
    def _accelerator_moved(cls, settings: Any) -> Any:
        return _not_the_old_accelerator(settings)


def _not_the_old_accelerator(settings: Any) -> Any:
    """Tell who wrote `accelerator`, as it was before there was a trainer section, what it is now.

    Raises:
        ValueError: there is an accelerator and no trainer.
    """
    if isinstance(settings, dict) and "accelerator" in settings and "trainer" not in settings:
        trainer = with_trainer({"accelerator": settings["accelerator"]})["trainer"]
        now = ", ".join(f"{name}: {'null' if value is None else value}" for name, value in trainer.items())
        raise ValueError(f"accelerator is part of trainer now; replace its line by trainer: {{{now}}}")
    return settings


def with_trainer(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings that were written by an earlier version as they are written now.

    There was no trainer section once, and each section had a k for validation of its own.
    """
    settings = {name: value for name, value in settings.items() if name != "metric_k"}
    if "teacher" in settings:
        return settings | {"teacher": with_trainer(settings["teacher"])}
    if "accelerator" not in settings:
        return settings
    settings = dict(settings)
    chosen = settings.pop("accelerator")
    alone = {**ONE_DEVICE, "precision": "auto", "max_time": None}
    return settings | {"trainer": {"accelerator": chosen, **alone}}

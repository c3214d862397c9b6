"""From params.yaml's stability section to the adversarial core, and the diversity of what is recommended."""

import numpy as np
from scipy.sparse import csr_array

from recgan.adversarial.diagnostics import Lines, effective_number, effective_rank
from recgan.adversarial.schedule import Rules
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.settings import AlarmParams, DiscriminatorAlarmParams, StabilityParams

LIST_LENGTH = 20
SAMPLE = 512
"""Users whose lists and scores are looked at: their Gram matrix takes milliseconds, that of all may not."""


def rules(stability: StabilityParams) -> Rules:
    """Return how the players take turns."""
    return Rules(
        critic_steps=stability.schedule.critic_steps,
        ema=stability.schedule.ema,
        clip_discriminator=stability.discriminator.clip_gradient,
        clip_generator=stability.generator.clip_gradient,
        clip_weights=stability.constraints.clip_weights,
    )


def lines(alarms: AlarmParams) -> Lines:
    """Return the limits beyond which a measure is unhealthy."""
    floors = {"effective_items": alarms.effective_items, "effective_rank": alarms.effective_rank}
    return Lines(
        grace=alarms.grace,
        win_rate=alarms.win_rate if isinstance(alarms, DiscriminatorAlarmParams) else None,
        gradient_growth=alarms.gradient_growth,
        floors={name: floor for name, floor in floors.items() if floor is not None},
    )


def diversity(
    recommender: Recommender, user_items: csr_array, ages: csr_array | None = None
) -> dict[str, float]:
    """Return effective_items of the top-20 lists and effective_rank of the scores.

    Args:
        recommender: anything that scores.
        user_items: (users, items), histories; at most 512 of them, evenly spaced, are asked about. Their own
            items are left out of the lists.
        ages: (users, items), of the histories, as `Recommender.score` takes them.
    """
    n_users, n_items = user_items.shape
    rows = np.unique(np.linspace(0, n_users - 1, SAMPLE).astype(np.int64))
    asked, since = user_items[rows], None if ages is None else ages[rows]
    ranking, _ = recommend(recommender, asked, LIST_LENGTH, ages=since)
    counts = np.bincount(ranking[ranking >= 0], minlength=n_items)
    return {
        "effective_items": effective_number(counts),
        "effective_rank": effective_rank(recommender.score(asked, since)),
    }

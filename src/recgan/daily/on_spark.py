"""Parts of the published lists made by Spark, whose executors see the project's folder."""

from collections.abc import Sequence

import numpy as np

from recgan.core.errors import RecganError, Unavailable
from recgan.daily.parts import Job, make, workers_for
from recgan.data.engine import engine


def make_on_spark(job: Job, numbers: Sequence[int]) -> None:
    """Have parts made in tasks of Spark, each of which loads the package once.

    There are as many tasks as there may be makers at once. Spark tries a task that failed again;
    the parts that it had finished stay.

    Args:
        job: what the parts are of.
        numbers: of the parts.

    Raises:
        RecganError: Spark does not start, or the package does not answer.
        Unavailable: its process was hindered.
    """
    partitions = max(1, min(workers_for(job), len(numbers)))
    groups = [some.tolist() for some in np.array_split(numbers, partitions)]

    def fault_of(group: int) -> str | None:
        try:
            make(job, groups[group])
        except Unavailable:
            raise  # another try may help
        except RecganError as fault:
            return str(fault)
        return None

    with engine() as tables:
        assert tables.session is not None  # who calls this has asked for Spark
        found = tables.each(fault_of, partitions)
    if told := [fault for fault in found if fault is not None]:
        raise RecganError(told[0])

"""Parts of the published lists made by Spark, whose executors see the project's folder."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from recgan.core.errors import RecganError, Unavailable
from recgan.daily.parts import Job, make, workers_for
from recgan.data.engine import engine


def make_on_spark(job: Job, numbers: Sequence[int]) -> None:
    """Have parts made by mapInArrow; a partition loads the package once.

    There are as many partitions as there may be makers at once. Spark tries a partition that failed again;
    the parts that it had finished stay.

    Args:
        job: what the parts are of.
        numbers: of the parts.

    Raises:
        RecganError: Spark does not start, or the package does not answer.
        Unavailable: its process was hindered.
    """

    def made(places: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        some = [numbers[place] for batch in places for place in batch["id"].to_pylist()]
        faults = [""]
        try:
            make(job, some)
        except Unavailable:
            raise  # another try may help
        except RecganError as fault:
            faults = [str(fault)]
        yield pa.record_batch([faults], ["fault"])

    partitions = max(1, min(workers_for(job), len(numbers)))
    with engine() as tables:
        assert tables.session is not None  # who calls this has asked for Spark
        found = (
            tables.session.range(0, len(numbers), 1, partitions).mapInArrow(made, "fault string").toArrow()
        )
    if told := [fault for fault in found["fault"].to_pylist() if fault]:
        raise RecganError(told[0])

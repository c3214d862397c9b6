import pyarrow as pa
import pytest

from recgan.adopt.given import Given, refuse
from recgan.adopt.moments import decide
from recgan.core.errors import RecganError
from recgan.data.sources.times import to_times


def column(*values):
    return pa.chunked_array([pa.array(values)])


def decided(*values, ask=refuse, **given):
    return decide(column(*values), "at", Given(**given), ask)


def complaint(*values, **given):
    with pytest.raises(RecganError) as caught:
        decided(*values, **given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "written", "zoned"),
    [
        (["2024-05-01 10:00:00 +0100", "2024-05-13 10:00:00 +0200"], None, True),
        (["2024-05-01T10:00:00Z", None], None, True),
        (["2024-05-01 10:00:00", "2024-05-02"], None, False),
        (["1714564800"], None, True),
        (["1714564800250000"], None, True),
        (["03.04.2024 15:30", "13.04.2024 9:05"], "%d.%m.%Y %H:%M", False),
        (["3/4/2024 3:30 PM", "3/14/2024 11:00 am"], "%m/%d/%Y %I:%M %p", False),
        (["03/04/2024", "14/04/2024"], "%d/%m/%Y", False),
        (["03-04-24 10:00:00", "14-04-24 10:00:00"], "%d-%m-%y %H:%M:%S", False),
        (["2024/04/03 10:00"], "%Y/%m/%d %H:%M", False),
        (["14/04/2024 10:00 +0100"], "%d/%m/%Y %H:%M %z", True),
        (["May 1, 2024 10:00:00", "May 2, 2024 10:00:00"], "%b %d, %Y %H:%M:%S", False),
        (["1 May 2024"], "%d %b %Y", False),
        (["March 1, 2024, 10:00", "April 1, 2024, 10:00"], "%B %d, %Y, %H:%M", False),
    ],
)
def test_the_data_decides_and_ingest_reads_it_so(values, written, zoned):
    found = decided(*values)
    assert (found.written, found.zoned) == (written, zoned)
    read = to_times(column(*values), "at", None, found.written)
    assert read.null_count == values.count(None)


@pytest.mark.parametrize("values", [["03/04/2024", "12/12/2024"], ["3.4.2024 10:00"], ["03-04-24"]])
def test_a_date_that_can_be_two_days_is_never_guessed(values):
    message = complaint(*values)
    assert "no number is above 12" in message
    assert "--day-first or --month-first" in message


def test_who_is_asked_decides_and_so_does_a_flag():
    assert decided("03/04/2024", ask=lambda *_: "Day").written == "%d/%m/%Y"
    assert decided("03/04/2024", day_first=False).written == "%m/%d/%Y"
    assert decided("03/04/2024", time_format="%m/%d/%Y").written == "%m/%d/%Y"
    assert decided("13/04/2024", day_first=False).written == "%d/%m/%Y"  # which the data says


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["13/04/2024", "04/13/2024"], "the day is first in one, the month in the other"),
        (["03.04.2024", "13/04/2024"], "has dates with . and /"),
        (["noon", "evening"], "--time-format"),
        (["14/04/2024 10:00 +0100", "14/04/2024 10:00"], "some times have a zone and others not"),
        ([None, None], "--column timestamp=NAME"),
    ],
)
def test_what_is_no_one_way_of_writing_is_refused(values, message):
    values = pa.array(values, pa.string())
    with pytest.raises(RecganError, match=message.replace("(", r"\(")):
        decide(pa.chunked_array([values]), "at", Given(), refuse)

"""The limit of a value is one of the process, so whoever changes it gives it back."""

import csv

import pytest

from recgan.core.csv_values import values_up_to


def test_the_limit_holds_inside_and_is_the_one_before_afterwards():
    before = csv.field_size_limit()
    with values_up_to(3):
        assert next(csv.reader(["abc"])) == ["abc"]
        with pytest.raises(csv.Error):
            next(csv.reader(["abcd"]))
    assert csv.field_size_limit() == before
    with pytest.raises(KeyError), values_up_to(3):
        raise KeyError
    assert csv.field_size_limit() == before

"""The points that AWS leaves open, chosen on the command line."""

from dataclasses import fields

import pytest

from infra.esm.readings import DEFAULT, Readings, UnknownReading, read


def test_without_settings_every_reading_has_its_default() -> None:
    assert read([]) == DEFAULT


def test_settings_choose_readings_and_a_later_one_wins() -> None:
    assert read(["partial=items", "null_key=null", "null_key=empty"]) == Readings(partial="items", null_key="empty")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("partly=items", "no such reading: 'partly'; there are bisect_counts, "),
        ("partial=all", "partial is one of checkpoint, items, not 'all'"),
        ("partial", "partial is one of checkpoint, items, not ''"),
        ("", "no such reading: ''"),
    ],
)
def test_a_reading_that_does_not_exist_is_refused_with_those_that_do(setting: str, message: str) -> None:
    with pytest.raises(UnknownReading, match=message):
        read([setting])


def test_every_reading_can_be_chosen_by_its_default() -> None:
    settings = [f"{field.name}={getattr(DEFAULT, field.name)}" for field in fields(Readings)]

    assert read(settings) == DEFAULT

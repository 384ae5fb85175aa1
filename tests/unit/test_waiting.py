"""`Prefer: wait`: how it is read."""

import pytest

from chalicelib.entrypoints import waiting


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ("WAIT=5", 5),
        ("wait = 5", 5),
        ('wait="5"', 5),
        ("wait=0", 0),
        ("wait=20", 20),
        ("wait=21", 20),
        ("wait=99999999999999", 20),
        ("respond-async, wait=3", 3),
        ("wait=3; foo=bar", 3),
        ("wait=3, wait=9", 3),
        ("wait=3;", 3),
        ('wait=3 ; foo ;; bar="a, b" ', 3),
        ('wait="1\\0"', 10),
        ('foo="a, wait=9", wait=3', 3),
        ('foo="\\", wait=9", wait=3', 3),
        ("foo=a b, wait=3", 3),
        (",, wait=3,", 3),
        ("wait=" + "0" * 5000 + "3", 3),
        ("wait=" + "9" * 5000, 20),
        ("", None),
        ("respond-async", None),
        ("wait", None),
        ("wait=", None),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("await=3", None),
        ("foo; wait=3", None),
        ("wait=soon, wait=3", None),
        ("wait; x=1, wait=3", None),
        ('wait=""', None),
        ('"wait=3"', None),
        ('foo="bar, wait=3', None),
    ],
)
def test_the_wait_that_is_preferred_is_read_and_capped(prefer: str, seconds: int | None) -> None:
    assert waiting.preferred_wait({"prefer": prefer}) == seconds


def test_without_the_header_nobody_waits() -> None:
    assert waiting.preferred_wait({}) is None

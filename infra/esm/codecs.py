"""Compression codecs of Kafka's record batches, and the packages that kafka-python reads them with."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kafka import codec


class Codec(NamedTuple):
    """A codec: its name, the package on PyPI that reads it, and whether that is installed."""

    name: str
    package: str
    is_installed: Callable[[], bool]


# By their number in a batch's attributes (Kafka documentation, "Record Batch").
CODECS: Mapping[int, Codec] = {
    0: Codec("none", "", lambda: True),
    1: Codec("gzip", "", codec.has_gzip),
    2: Codec("snappy", "python-snappy", codec.has_snappy),
    3: Codec("lz4", "lz4", codec.has_lz4),
    4: Codec("zstd", "zstandard", codec.has_zstd),
}


def missing_codecs() -> list[Codec]:
    """The codecs whose package is not installed."""
    return [each for each in CODECS.values() if not each.is_installed()]

"""Record batches by hand, sound and broken ones, and a Produce request that hands them to a broker as they are.

Forms: the Kafka documentation, "Message Format", and the Kafka protocol guide, Produce version 7.
"""

import gzip
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cramjam
import crc32c
import lz4.frame
import zstandard
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.util import encode_varint

PRODUCE, PRODUCE_VERSION = 0, 7
PATIENCE_SECONDS = 10.0
XERIAL_HEAD = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
XERIAL_BLOCK = 32 * 1024


class Codec(NamedTuple):
    """A codec as the attributes of a batch number it, and how a client of Kafka's compresses with it."""

    number: int
    compress: Callable[[bytes], bytes]


def xerial(data: bytes) -> bytes:
    """Snappy as `SnappyOutputStream` frames it, which Java's client writes."""
    blocks = [bytes(cramjam.snappy.compress_raw(data[start : start + XERIAL_BLOCK])) for start in range(0, len(data), XERIAL_BLOCK)]
    return XERIAL_HEAD + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


def java_lz4(data: bytes) -> bytes:
    """An LZ4 frame as Java's client writes it: independent blocks of 64 KiB, no sizes, no checksum of the content."""
    return bytes(
        lz4.frame.compress(data, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=False, content_checksum=False, store_size=False)
    )


CODECS = {
    "none": Codec(0, bytes),
    "gzip": Codec(1, gzip.compress),
    "snappy": Codec(2, xerial),
    "snappy-raw": Codec(2, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "lz4": Codec(3, java_lz4),
    "lz4-linked": Codec(3, lambda data: bytes(lz4.frame.compress(data, block_linked=True))),
    "zstd": Codec(4, zstandard.ZstdCompressor().compress),
    "zstd-without-size": Codec(4, zstandard.ZstdCompressor(write_content_size=False).compress),
}
IS_TRANSACTIONAL, IS_CONTROL = 0x10, 0x20


def batch(
    *values: bytes,
    codec: Codec = CODECS["none"],
    attributes: int = 0,
    magic: int = 2,
    offset: int = 0,
    key: bytes | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A batch of format 2 with a record for each value; `attributes` come on top of the codec's number."""
    records = b"".join(_record(number, key, value, headers) for number, value in enumerate(values))
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", codec.number | attributes, max(0, len(values) - 1), now, now, -1, -1, -1, len(values))
    body += codec.compress(records)
    return _framed(struct.pack(">ib", 0, magic) + struct.pack(">I", crc32c.crc32c(body)) + body, offset)


def legacy_batch(*values: bytes, magic: int, codec: int = 0, timestamp: int = 1_545_084_650_987) -> bytes:
    """The same in one of the formats before, 0 or 1."""
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for number, value in enumerate(values):
        builder.append(number, timestamp, None, value)
    return bytes(builder.build())


def with_wrong_checksum(sound: bytes) -> bytes:
    """The batch with another last byte than the checksum is of."""
    return sound[:-1] + bytes([sound[-1] ^ 1])


def with_payload(sound: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The batch with other records behind its head, and the checksum that fits."""
    body = sound[21:61] + change(sound[61:])
    return _framed(sound[12:17] + struct.pack(">I", crc32c.crc32c(body)) + body, struct.unpack(">q", sound[:8])[0])


def produce(bootstrap: str, topic: str, records: bytes, partition: int = 0) -> int:
    """Have the broker append these bytes; the error code that it answers."""
    host, _, port = bootstrap.rpartition(":")
    head = struct.pack(">hhi", PRODUCE, PRODUCE_VERSION, 1) + _string("by-hand")
    body = struct.pack(">hhii", -1, 1, 5000, 1) + _string(topic) + struct.pack(">iii", 1, partition, len(records)) + records
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as connection:
        request = head + struct.pack(">h", -1) + body.removeprefix(struct.pack(">h", -1))
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
        answer = connection.recv(size, socket.MSG_WAITALL)
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + len(_string(topic)) + 4 + 4)
    return int(error)


def _framed(content: bytes, offset: int) -> bytes:
    return struct.pack(">qi", offset, len(content)) + content


def _record(number: int, key: bytes | None, value: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    content = b"\x00" + _varint(0) + _varint(number) + _sized(key) + _sized(value) + _varint(len(headers))
    content += b"".join(_sized(name) + _sized(text) for name, text in headers)
    return _varint(len(content)) + content


def _sized(part: bytes | None) -> bytes:
    return _varint(-1) if part is None else _varint(len(part)) + part


def _varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded

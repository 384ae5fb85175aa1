"""Header names that are no UTF-8.

kafka-python refuses a record with such a name, and with it for ever the rest of its batch. Kafka's own clients, as Lambda's pollers have
them, read it with U+FFFD in the place of what is wrong. The form of a record is that of the Kafka documentation, "Record Format".
"""

from typing import Any

from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint


class LenientBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch of records that is read to its end."""

    _pos: int

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._read_leniently()

    def _read_leniently(self) -> Any:
        buffer = self._buffer
        length, position = decode_varint(buffer, self._pos)
        end = position + length
        attributes_size = 1
        later, position = decode_varint(buffer, position + attributes_size)
        number, position = decode_varint(buffer, position)
        key, position = _bytes(buffer, position)
        value, position = _bytes(buffer, position)
        count, position = decode_varint(buffer, position)
        headers = []
        for _ in range(count):
            name, position = _bytes(buffer, position)
            content, position = _bytes(buffer, position)
            headers.append(((name or b"").decode("utf-8", "replace"), content))
        self._pos = end
        timestamp = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else self.first_timestamp + later
        return DefaultRecord(length, self.base_offset + number, timestamp, self.timestamp_type, key, value, headers)


def _bytes(buffer: Any, position: int) -> tuple[bytes | None, int]:
    size, position = decode_varint(buffer, position)
    return (None, position) if size < 0 else (bytes(buffer[position : position + size]), position + size)

"""Records that could not be taken: a row that keeps every byte, and a copy on `orders-dlq`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages import topics
from chalicelib.messages.envelope import Incoming, Outgoing
from chalicelib.messages.wire import in_base64
from chalicelib.messaging.outbox import Queued

# A copy with its headers must fit into an outbox row, and into a broker's 1 MiB; what doesn't is left out and its size given.
LARGEST_COPY = 190_000
ERROR_LIMIT = 1_000
GROUPS = {trigger.topic: trigger.consumer_group for trigger in topics.TRIGGERS}


@dataclass(frozen=True)
class DeadLetter:
    """A record and why it could not be taken, at the `deliveries`-th try; `fields` are what log lines say of it."""

    dead_letter_id: UUID
    record: Incoming
    error_class: str
    error: str
    deliveries: int
    type: str | None = None
    order_id: UUID | None = None
    saga_id: UUID | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


INSERT = sa.text("""
    INSERT INTO campusg.dead_letters (dead_letter_id, topic, partition, "offset", content_hash, key, value, headers, type,
        order_id, saga_id, error_class, error, delivery_count, at)
    SELECT dead_letter_id, topic, partition, "offset", decode(content_hash, 'base64'), decode(key, 'base64'), decode(value, 'base64'),
        headers, type, order_id, saga_id, error_class, error, delivery_count, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(dead_letter_id uuid, topic text, partition int, "offset" bigint,
        content_hash text, key text, value text, headers jsonb, type text, order_id uuid, saga_id uuid, error_class text,
        error text, delivery_count int)
    ON CONFLICT (topic, partition, "offset", content_hash) DO NOTHING
    RETURNING dead_letter_id""")


def insert(session: sa.Connection, letters: Sequence[DeadLetter], now: datetime) -> list[Queued]:
    """Keep the dead letters, once each, and return their copies for the outbox."""
    if not letters:
        return []
    rows = json.dumps([_row(letter) for letter in letters])
    new = set(session.execute(INSERT, {"rows": rows, "now": now}).scalars())
    kept = [letter for letter in letters if letter.dead_letter_id in new]
    return [Queued(letter.dead_letter_id, copy_of(letter), str(letter.dead_letter_id)) for letter in kept]


def content_hash(record: Incoming) -> bytes:
    """What tells this record from another one at the same place (a topic made anew counts its offsets from zero again)."""
    digest = hashlib.sha256()
    for part in (record.key, record.value, *(part for name, value in record.headers for part in (name.encode("utf-8", "replace"), value))):
        digest.update(b"-" if part is None else len(part).to_bytes(4, "big") + part)
    return digest.digest()


def copy_of(letter: DeadLetter) -> Outgoing:
    """The record for `orders-dlq`: key, value and headers as they came and why they could not be taken, as far as they fit."""
    record = letter.record
    headers = [(_storable(name), each) for name, each in record.headers]
    value = record.value
    added = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "group": GROUPS.get(record.topic, ""),
        "delivery.count": str(letter.deliveries),
        "exception.class": letter.error_class,
        "message": letter.error[:ERROR_LIMIT],
    }
    key = record.key
    # As the outbox keeps them: many small headers take far more room there than their bytes.
    headers_size = len(json.dumps([[name, in_base64(each)] for name, each in headers]))
    if value is not None and len(key or b"") + len(value) + headers_size > LARGEST_COPY:
        added["value.omitted"] = str(len(value))
        value = None
    if headers_size > LARGEST_COPY:
        added["headers.omitted"] = str(headers_size)
        headers = []
    if key is not None and len(key) > LARGEST_COPY:
        added["key.omitted"] = str(len(key))
        key = None
    if key is None and value is None:
        # No client sends a record with neither.
        value = b""
    headers += [(f"__dlq.errors.{name}", text.encode("utf-8", "replace")) for name, text in added.items()]
    return Outgoing(topics.ORDERS_DLQ, key, value, tuple(headers))


def _row(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    return {
        "dead_letter_id": str(letter.dead_letter_id),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "content_hash": in_base64(content_hash(record)),
        "key": in_base64(record.key),
        "value": in_base64(record.value),
        "headers": [[_storable(name), in_base64(value)] for name, value in record.headers],
        "type": _storable(letter.type[:200]) if letter.type else None,
        "order_id": str(letter.order_id) if letter.order_id else None,
        "saga_id": str(letter.saga_id) if letter.saga_id else None,
        "error_class": letter.error_class,
        "error": _storable(letter.error[:ERROR_LIMIT]),
        "delivery_count": letter.deliveries,
    }


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()

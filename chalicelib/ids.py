"""Where ids and chance come from: the edge."""

import random
import re
from uuid import UUID

from uuid_utils.compat import uuid7

from chalicelib.sagas.outcomes import Fresh

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def id_of(text: str) -> UUID:
    """The id that a client wrote, in the one form that RFC 9562 has; raises ValueError. `UUID` takes many more: braces, no hyphens, `_`."""
    if not UUID_TEXT.fullmatch(text):
        raise ValueError("no UUID")
    return UUID(text)


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): sortable by its time of making."""
    return UUID(int=uuid7().int)


def new_fresh() -> Fresh:
    """Ids and jitter for one outcome."""
    return Fresh(lambda: str(uuid7()), random.uniform(-1, 1))  # noqa: S311 - jitter is no secret

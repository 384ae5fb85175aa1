"""Where ids and chance come from: the edge."""

import random
from uuid import UUID

from uuid_utils.compat import uuid7

from chalicelib.sagas.outcomes import IdSource


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): sortable by its time of making."""
    return uuid7()


def new_id_source() -> IdSource:
    """Ids and jitter for one outcome."""
    return IdSource(lambda: str(uuid7()), random.uniform(-1, 1))  # noqa: S311 - jitter is no secret

"""Where ids and chance come from: the edge."""

import random
from uuid import UUID

from uuid_utils.compat import uuid7

from chalicelib.sagas.outcomes import Fresh


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): sortable by its time of making."""
    return UUID(int=uuid7().int)


def new_fresh() -> Fresh:
    """Ids and jitter for one outcome."""
    return Fresh(lambda: str(uuid7()), random.uniform(-1, 1))  # noqa: S311 - jitter is no secret

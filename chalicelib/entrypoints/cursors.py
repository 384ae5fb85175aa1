"""Opaque cursors: where a list goes on. Only unreserved URL characters."""

import base64
from dataclasses import dataclass
from uuid import UUID

from chalicelib.errors import FieldError, Invalid


@dataclass(frozen=True)
class Cursor:
    """A place in a list: behind the item with this id, or at its beginning."""

    after: UUID | None


def to_cursor(last: UUID) -> str:
    """The cursor of the page that follows the item with this id."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def from_cursor(text: str) -> UUID | None:
    """The id after which the page begins; None for the empty cursor of the first page. Raises Invalid."""
    if not text:
        return None
    try:
        last = UUID(bytes=base64.b64decode(text + "==", altchars=b"-_", validate=True))
        # base64 lets several texts stand for the same bytes, and other letters for these two; ours are spelled in one way.
        if to_cursor(last) != text:
            raise ValueError(text)
        return last
    except ValueError:
        raise Invalid("the parameter cursor is not one of ours", [FieldError("cursor", "is not one of ours")]) from None

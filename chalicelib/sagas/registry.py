"""Every saga and every released version of it. Old versions stay until no row names them."""

from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.cancel_acceptance import CANCEL_ACCEPTANCE
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.definition import Definition

DEFINITIONS: dict[tuple[str, int], Definition] = {
    ("create_order", 1): CREATE_ORDER,
    ("accept_order", 1): ACCEPT_ORDER,
    ("complete_order", 1): COMPLETE_ORDER,
    ("cancel_acceptance", 1): CANCEL_ACCEPTANCE,
    ("cancel_order", 1): CANCEL_ORDER,
}


def definition_of(name: str, version: int) -> Definition | None:
    """The definition a saga row was started with; None where this code doesn't know it (it is newer, or long gone)."""
    return DEFINITIONS.get((name, version))

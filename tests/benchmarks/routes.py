"""The routes that are read in process and over the gateway, each by whoever reads most by it."""

from collections.abc import Mapping

from tests.support.edge import ADMIN, OWNER, RUNNER, Caller

# `{order}` and `{saga}` are those of some order.
READS: Mapping[str, Caller] = {
    "/api/orders/{order}": OWNER,
    "/api/orders/{order}/history": OWNER,
    "/api/orders": OWNER,
    "/api/orders?customerId=cust_1": ADMIN,
    "/api/orders?status=READY_FOR_PICKUP": RUNNER,
    "/api/orders?status=CANCELLED": RUNNER,
    "/api/orders?status=COMPLETED": ADMIN,
    "/api/sagas/{saga}": ADMIN,
    "/api/sagas": ADMIN,
    "/api/sagas?status=FAILED": ADMIN,
    "/api/dead-letters": ADMIN,
    "/health": OWNER,
}

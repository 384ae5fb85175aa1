"""Partners written a second time, from the message contract alone: pure books for each order, which also say when they were misused.

They share nothing with the simulated partners, so that a misreading of the contract does not hide itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from chalicelib.messages.replies import REPLIES
from tests.support.kafka_records import Record, Sent

Said = tuple[str, dict[str, Any]]


@dataclass
class Hold:
    """Money in escrow; `paid_to` is the runner and the account that got it."""

    amount: str
    status: str = "HELD"
    runner: str | None = None
    paid_to: tuple[str, str] | None = None


@dataclass
class Books:
    """What the partners have of one order."""

    payments: dict[str, str] = field(default_factory=dict)
    amounts: dict[str, str] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    released: bool = False
    refunded: bool = False
    unassigned: set[str] = field(default_factory=set)
    told: list[tuple[str, str]] = field(default_factory=list)


# Of all partners of a process: an id that another order has is not taken.
NUMBERS = count(1)


@dataclass
class Partners:
    """All partners of all orders. `wrongs` lists what an order service must never have sent."""

    books: dict[str, Books] = field(default_factory=dict)
    wrongs: list[str] = field(default_factory=list)
    _worked: dict[str, tuple[Sent, Record | None]] = field(default_factory=dict)

    def of(self, order_id: object) -> Books:
        """The books of one order."""
        return self.books.setdefault(str(order_id), Books())

    def work(self, command: Sent, *, refuse: bool = False) -> Record | None:
        """Work a command once and answer it; a repeated one gets the same answer, and no work. None: it has no reply."""
        if command.id in self._worked:
            first, record = self._worked[command.id]
            if first != command:
                self.wrongs.append(f"{command.type} {command.id} came again with other bytes")
            return record.again() if record else None
        said = WORK[command.type](self, self.of((command.key or b"").decode()), command, refuse)
        record = self._reply(command, *said) if said else None
        self._worked[command.id] = (command, record)
        return record

    def expire(self, order_id: object, payment_id: str | None = None) -> Record:
        """The bank no longer keeps the money: what the payment service says unasked."""
        books = self.of(order_id)
        payment = payment_id or next(iter(books.payments), "pay_none")
        if books.payments.get(payment) == "AUTHORIZED":
            books.payments[payment] = "EXPIRED"
        headers = {"ce_specversion": "1.0", "ce_id": str(uuid4()), "ce_type": "payment.authorization_expired", "ce_source": "/bank"}
        value = json.dumps({"orderId": str(order_id), "paymentId": payment}).encode()
        return Record("payment-events", str(order_id).encode(), value, tuple((name, text.encode()) for name, text in headers.items()))

    def disagreements(self, order: Mapping[str, Any]) -> list[str]:
        """Where the books of an order that no saga holds are not what its two statuses say (`order`: a row of the table)."""
        books = self.of(order["order_id"])
        statuses = (order["order_status"], order["payment_status"])
        expected = STANDS[statuses](order)
        # An authorization that expired is as good as released: nothing is kept.
        payments = {"RELEASED" if status == "EXPIRED" else status for status in books.payments.values()}
        holds = {(hold.status, hold.runner) for hold in books.holds.values()}
        found = (payments, {status for status, _ in holds}, {runner for status, runner in holds if status == "HELD"})
        wrong = [] if found in expected else [f"{statuses} of runner {order['runner_id']}: the books have {found}"]
        wrong += [f"{amount} is not the order's total" for amount in books.amounts.values() if Decimal(amount) != order["total"]]
        wrong += [f"paid to {hold.paid_to}" for hold in books.holds.values() if hold.paid_to and hold.paid_to[0] != order["runner_id"]]
        return wrong + self.wrongs

    def _reply(self, command: Sent, type: str, data: Mapping[str, Any]) -> Record:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid4()),
            "ce_type": type,
            "ce_source": "/campusg/another-make",
            "content-type": "application/json",
            "ce_sagaid": command.saga_id,
            "ce_causationid": command.id,
        }
        value = json.dumps(data).encode()
        return Record(REPLIES[type].TOPIC, command.key, value, tuple((name, text.encode()) for name, text in headers.items()))

    def _new(self, prefix: str) -> str:
        return f"{prefix}_{next(NUMBERS)}"

    # One method a command: books and data in, the type and data of the answer out.

    def _validate_customer(self, _books: Books, command: Sent, refuse: bool) -> Said:
        customer = command.data["customerId"]
        if refuse:
            return "user.customer_rejected", {"customerId": customer, "reason": "suspended"}
        return "user.customer_validated", {"customerId": customer, "paymentMethodId": f"method of {customer}"}

    def _validate_runner(self, _books: Books, command: Sent, refuse: bool) -> Said:
        runner = command.data["runnerId"]
        if refuse:
            return "user.runner_rejected", {"runnerId": runner, "reason": "suspended"}
        return "user.runner_validated", {"runnerId": runner, "payoutAccountId": f"account of {runner}"}

    def _authorize(self, books: Books, command: Sent, refuse: bool) -> Said:
        if refuse or books.released:
            return "payment.declined", {"orderId": command.data["orderId"], "reason": "no"}
        if books.payments:
            self.wrongs.append(f"{command.data['orderId']} is authorized twice")
        payment = self._new("pay")
        books.payments[payment], books.amounts[payment] = "AUTHORIZED", command.data["amount"]
        return "payment.authorized", {"orderId": command.data["orderId"], "paymentId": payment, "amount": command.data["amount"]}

    def _release(self, books: Books, command: Sent, _refuse: bool) -> Said:
        meant = command.data.get("paymentId")
        books.released = True
        for payment, status in books.payments.items():
            if meant in (None, payment) and status == "AUTHORIZED":
                books.payments[payment] = "RELEASED"
            elif status == "CAPTURED":
                self.wrongs.append(f"{payment} is captured and can't be released")
        return "payment.released", {"orderId": command.data["orderId"], **({"paymentId": meant} if meant else {})}

    def _capture(self, books: Books, command: Sent, refuse: bool) -> Said:
        asked = command.data
        if refuse or books.payments.get(asked["paymentId"]) != "AUTHORIZED":
            return "payment.capture_failed", {"orderId": asked["orderId"], "reason": "nothing to take"}
        books.payments[asked["paymentId"]] = "CAPTURED"
        return "payment.captured", {"orderId": asked["orderId"], "paymentId": asked["paymentId"], "amount": asked["amount"]}

    def _refund_payment(self, books: Books, command: Sent, _refuse: bool) -> Said:
        asked = command.data
        if books.payments.get(asked["paymentId"]) in ("AUTHORIZED", "CAPTURED"):
            books.payments[asked["paymentId"]] = "REFUNDED"
        return "payment.refunded", {"orderId": asked["orderId"], "paymentId": asked["paymentId"], "amount": asked["amount"]}

    def _hold(self, books: Books, command: Sent, refuse: bool) -> Said:
        asked = command.data
        if refuse or books.refunded:
            return "escrow.hold_failed", {"orderId": asked["orderId"], "reason": "no"}
        if books.holds:
            self.wrongs.append(f"{asked['orderId']} is held twice")
        escrow = self._new("esc")
        books.holds[escrow], books.amounts[escrow] = Hold(asked["amount"]), asked["amount"]
        return "escrow.held", {"orderId": asked["orderId"], "escrowId": escrow, "amount": asked["amount"]}

    def _assign(self, books: Books, command: Sent, refuse: bool) -> Said:
        asked, hold = command.data, books.holds.get(command.data["escrowId"])
        free = hold is not None and hold.status == "HELD" and hold.runner in (None, asked["runnerId"])
        if hold is None or refuse or not free or command.saga_id in books.unassigned:
            return "escrow.runner_assignment_failed", {"orderId": asked["orderId"], "reason": "no"}
        hold.runner = asked["runnerId"]
        return "escrow.runner_assigned", {name: asked[name] for name in ("orderId", "escrowId", "runnerId")}

    def _unassign(self, books: Books, command: Sent, _refuse: bool) -> Said:
        books.unassigned.add(command.saga_id)
        hold = books.holds.get(command.data["escrowId"])
        if hold and hold.status == "HELD":
            hold.runner = None
        return "escrow.runner_unassigned", {name: command.data[name] for name in ("orderId", "escrowId")}

    def _pay_out(self, books: Books, command: Sent, refuse: bool) -> Said:
        asked, hold = command.data, books.holds.get(command.data["escrowId"])
        if "CAPTURED" not in books.payments.values():
            self.wrongs.append(f"{asked['orderId']} is paid out before its payment is captured")
        if hold is None or refuse or hold.status != "HELD" or hold.runner != asked["runnerId"]:
            return "escrow.release_failed", {"orderId": asked["orderId"], "reason": "the account is closed"}
        hold.status, hold.paid_to = "RELEASED", (asked["runnerId"], asked["payoutAccountId"])
        return "escrow.released", {"orderId": asked["orderId"], "escrowId": asked["escrowId"], "amount": hold.amount}

    def _refund_escrow(self, books: Books, command: Sent, _refuse: bool) -> Said:
        meant, amount = command.data.get("escrowId"), "0.00"
        books.refunded = True
        for escrow, hold in books.holds.items():
            if meant in (None, escrow) and hold.status == "HELD":
                hold.status, amount = "REFUNDED", hold.amount
            elif hold.status == "RELEASED":
                self.wrongs.append(f"{escrow} is paid out and can't be refunded")
        return "escrow.refunded", {"orderId": command.data["orderId"], "amount": amount, **({"escrowId": meant} if meant else {})}

    def _tell(self, books: Books, command: Sent, _refuse: bool) -> None:
        books.told.append((command.data["recipientId"], command.data["notificationType"]))


WORK: dict[str, Callable[[Partners, Books, Sent, bool], Said | None]] = {
    "user.validate_customer": Partners._validate_customer,
    "user.validate_runner": Partners._validate_runner,
    "payment.authorize": Partners._authorize,
    "payment.release": Partners._release,
    "payment.capture": Partners._capture,
    "payment.refund": Partners._refund_payment,
    "escrow.hold": Partners._hold,
    "escrow.assign_runner": Partners._assign,
    "escrow.unassign_runner": Partners._unassign,
    "escrow.release": Partners._pay_out,
    "escrow.refund": Partners._refund_escrow,
    "notification.send": Partners._tell,
}

# What may stand in the books for an order's two statuses: statuses of payments, statuses of holds, runners of what is held.
Stands = tuple[set[str], set[str], set[str | None]]
NOTHING: Stands = (set(), set(), set())
GIVEN_BACK: Stands = ({"RELEASED"}, {"REFUNDED"}, set())


def _kept_for_runner(order: Mapping[str, Any]) -> list[Stands]:
    # The authorization may have expired after the food was collected.
    return [(payments, {"HELD"}, {order["runner_id"]}) for payments in ({"AUTHORIZED"}, {"RELEASED"})]


STANDS: dict[tuple[str, str], Callable[[Mapping[str, Any]], list[Stands]]] = {
    ("READY_FOR_PICKUP", "AUTHORIZED"): lambda _: [({"AUTHORIZED"}, {"HELD"}, {None})],
    ("ACCEPTED", "AUTHORIZED"): lambda order: _kept_for_runner(order)[:1],
    ("COLLECTED", "AUTHORIZED"): _kept_for_runner,
    ("ON_THE_WAY", "AUTHORIZED"): _kept_for_runner,
    ("DELIVERED", "AUTHORIZED"): _kept_for_runner,
    ("DELIVERED", "REFUNDED"): lambda _: [({"REFUNDED"}, {"REFUNDED"}, set())],
    ("COMPLETED", "CAPTURED"): lambda _: [({"CAPTURED"}, {"RELEASED"}, set())],
    ("CANCELLED", "FAILED"): lambda _: [NOTHING, ({"RELEASED"}, set(), set())],
    ("CANCELLED", "RELEASED"): lambda _: [GIVEN_BACK, ({"RELEASED"}, set(), set())],
    ("TIMED_OUT", "RELEASED"): lambda _: [GIVEN_BACK],
}

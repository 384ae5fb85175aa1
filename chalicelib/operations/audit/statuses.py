"""What holds of an order in each status: which payment status goes with it, who may hold it, and which of its fields are there.

Written without the code that moves orders, so that it can find that wrong.
"""

from chalicelib.operations.audit.rule import Rule, pairs

OPEN = ("CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP", "ACCEPTED", "COLLECTED", "ON_THE_WAY", "DELIVERED")
ENDS = ("COMPLETED", "CANCELLED", "TIMED_OUT")
NOBODY = ""

# Every pair of order and payment status that there may be, with the sagas that may hold the order meanwhile.
STATUSES: dict[tuple[str, str], tuple[str, ...]] = {
    ("CREATED", "PENDING"): ("create_order",),
    ("PENDING_PAYMENT", "PENDING"): ("create_order",),
    ("PAYMENT_AUTHORIZED", "AUTHORIZED"): ("create_order",),
    ("READY_FOR_PICKUP", "AUTHORIZED"): (NOBODY, "accept_order", "cancel_order"),
    ("ACCEPTED", "AUTHORIZED"): (NOBODY, "cancel_acceptance", "cancel_order"),
    ("COLLECTED", "AUTHORIZED"): (NOBODY, "cancel_order"),
    ("ON_THE_WAY", "AUTHORIZED"): (NOBODY, "cancel_order"),
    ("DELIVERED", "AUTHORIZED"): (NOBODY, "complete_order", "cancel_order"),
    ("DELIVERED", "CAPTURED"): ("complete_order",),
    ("DELIVERED", "REFUNDED"): (NOBODY,),
    ("COMPLETED", "CAPTURED"): (NOBODY,),
    ("CANCELLED", "FAILED"): (NOBODY,),
    ("CANCELLED", "RELEASED"): (NOBODY,),
    ("TIMED_OUT", "RELEASED"): (NOBODY,),
}
# A saga of a name that is not among these was started by a newer release.
SAGAS = sorted({name for names in STATUSES.values() for name in names})

# What an order must have, and must not have, beside its statuses.
NEEDED: dict[str, tuple[str, ...]] = {
    "PAYMENT_AUTHORIZED": ("payment_id",),
    "READY_FOR_PICKUP": ("payment_id", "escrow_id", "accept_by"),
    "ACCEPTED": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "COLLECTED": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "ON_THE_WAY": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "DELIVERED": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "COMPLETED": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "TIMED_OUT": ("payment_id", "escrow_id", "accept_by"),
}
BARRED: dict[str, tuple[str, ...]] = {
    "CREATED": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "PENDING_PAYMENT": ("payment_id", "escrow_id", "accept_by", "runner_id"),
    "PAYMENT_AUTHORIZED": ("escrow_id", "accept_by", "runner_id"),
}


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _pairs_of(statuses: tuple[str, ...]) -> str:
    known = [(order, payment, name) for (order, payment), names in STATUSES.items() for name in names if order in statuses]
    return f"""
    SELECT o.order_id, o.active_saga_id AS saga_id, concat('the order is ', o.order_status, '/', o.payment_status, ' and held by ',
        coalesce(o.holder, 'nobody'), ' since ', o.updated_at) AS detail
    FROM (SELECT *, (SELECT name FROM campusg.sagas s WHERE s.saga_id = active_saga_id) AS holder
          FROM campusg.orders WHERE order_status IN ({_listed(statuses)})) o
    WHERE coalesce(o.holder, '') IN ({_listed(SAGAS)})
      AND (o.order_status, o.payment_status, coalesce(o.holder, '')) NOT IN ({pairs(known)})"""  # noqa: S608 - literals of ours


def _fields_of(statuses: tuple[str, ...]) -> str:
    wrong = [
        f"CASE WHEN order_status = '{status}' AND {field} IS {null} THEN '{word} {field}' END"
        for table, null, word in ((NEEDED, "NULL", "no"), (BARRED, "NOT NULL", "already a"))
        for status, fields in table.items()
        if status in statuses
        for field in fields
    ]
    # An id without money, money without an id, a hold without a payment; a runner of an open order that nobody accepts, a reason of none.
    wrong += [
        "CASE WHEN payment_status IN ('PENDING', 'FAILED') AND payment_id IS NOT NULL THEN 'a payment_id without money' END",
        "CASE WHEN payment_status NOT IN ('PENDING', 'FAILED') AND payment_id IS NULL THEN 'money without a payment_id' END",
        "CASE WHEN escrow_id IS NOT NULL AND payment_id IS NULL THEN 'an escrow_id without payment_id' END",
        "CASE WHEN order_status = 'READY_FOR_PICKUP' AND active_saga_id IS NULL AND runner_id IS NOT NULL THEN 'open with a runner_id' END",
        "CASE WHEN order_status NOT IN ('CANCELLED', 'TIMED_OUT') AND cancel_reason IS NOT NULL THEN 'not cancelled, with a reason' END",
    ]
    return f"""
    SELECT order_id, saga_id, detail FROM (
        SELECT order_id, active_saga_id AS saga_id, concat_ws('; ', {", ".join(wrong)}) AS wrong,
            concat(order_status, ': ', concat_ws('; ', {", ".join(wrong)})) AS detail
        FROM campusg.orders WHERE order_status IN ({_listed(statuses)})) f
    WHERE wrong <> ''"""  # noqa: S608 - literals of ours


STATUSES_DISAGREE = Rule(
    "statuses_disagree", "order and payment status of an open order go together, and with whoever holds it", _pairs_of(OPEN)
)
STATUSES_AT_THE_END = Rule("statuses_at_the_end", "order and payment status of an order that has ended go together", _pairs_of(ENDS))
FIELDS_DISAGREE = Rule("fields_disagree", "an open order has the ids, runner and time limit of its status, and no others", _fields_of(OPEN))
FIELDS_AT_THE_END = Rule("fields_at_the_end", "an order that has ended has the ids and the runner of its status", _fields_of(ENDS))

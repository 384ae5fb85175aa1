"""What holds of an order's history."""

from chalicelib.operations.audit.rule import Rule, pairs

HISTORY_INCOMPLETE = Rule(
    "history_incomplete",
    "the history has each version of its order once, from the first to the order's own",
    """
    SELECT o.order_id, CAST(NULL AS uuid) AS saga_id, concat('the order is at version ', o.version, ', its history has ',
        coalesce(h.entries, 0), ' entries from ', h.first, ' to ', h.last) AS detail
    FROM campusg.orders o
    LEFT JOIN (SELECT order_id, count(*) AS entries, min(version) AS first, max(version) AS last
               FROM campusg.order_history GROUP BY order_id) h USING (order_id)
    WHERE h.entries IS DISTINCT FROM o.version OR h.first <> 1 OR h.last <> o.version""",
)
HISTORY_DISAGREES = Rule(
    "history_disagrees",
    "the newest history entry has the statuses of its order",
    """
    SELECT o.order_id, h.saga_id, concat('the order is ', o.order_status, '/', o.payment_status, ', its history ends with ',
        h.status_to, '/', h.payment_to) AS detail
    FROM campusg.orders o JOIN campusg.order_history h ON h.order_id = o.order_id AND h.version = o.version
    WHERE h.status_to <> o.order_status OR h.payment_to <> o.payment_status""",
)
# Which saga moves an order from one status to another, and which its payment; what a person moves by hand is no saga's.
BY_HAND = ""
MOVES: dict[tuple[str, str], tuple[str, ...]] = {
    ("CREATED", "PENDING_PAYMENT"): ("create_order",),
    ("PENDING_PAYMENT", "PAYMENT_AUTHORIZED"): ("create_order",),
    ("PAYMENT_AUTHORIZED", "READY_FOR_PICKUP"): ("create_order",),
    ("CREATED", "CANCELLED"): ("create_order",),
    ("PENDING_PAYMENT", "CANCELLED"): ("create_order",),
    ("PAYMENT_AUTHORIZED", "CANCELLED"): ("create_order",),
    ("READY_FOR_PICKUP", "ACCEPTED"): ("accept_order",),
    ("ACCEPTED", "READY_FOR_PICKUP"): ("cancel_acceptance",),
    ("ACCEPTED", "COLLECTED"): (BY_HAND,),
    ("COLLECTED", "ON_THE_WAY"): (BY_HAND,),
    ("ON_THE_WAY", "DELIVERED"): (BY_HAND,),
    ("DELIVERED", "COMPLETED"): ("complete_order",),
    ("READY_FOR_PICKUP", "TIMED_OUT"): ("cancel_order",),
    ("READY_FOR_PICKUP", "CANCELLED"): ("cancel_order",),
    ("ACCEPTED", "CANCELLED"): ("cancel_order",),
    ("COLLECTED", "CANCELLED"): ("cancel_order",),
    ("ON_THE_WAY", "CANCELLED"): ("cancel_order",),
    ("DELIVERED", "CANCELLED"): ("cancel_order",),
}
PAYMENT_MOVES: dict[tuple[str, str], tuple[str, ...]] = {
    ("PENDING", "AUTHORIZED"): ("create_order",),
    ("PENDING", "FAILED"): ("create_order",),
    ("AUTHORIZED", "CAPTURED"): ("complete_order",),
    ("AUTHORIZED", "RELEASED"): ("create_order", "cancel_order"),
    ("CAPTURED", "REFUNDED"): ("complete_order",),
}
SAGAS = sorted({name for table in (MOVES, PAYMENT_MOVES) for names in table.values() for name in names})


def _of(table: dict[tuple[str, str], tuple[str, ...]]) -> str:
    return pairs((*move, name) for move, names in table.items() for name in names)


# Two entries may have times in the wrong order where a clock was set back; more than a minute is no clock.
HISTORY_BROKEN = Rule(
    "history_broken",
    "each history entry goes on from the one before, by a move that there is, by a saga of the order that makes it, and says so",
    f"""
    WITH chained AS (
        SELECT h.*, s.name AS saga, s.order_id AS saga_of, o.customer_id, lag(h.status_to) OVER w AS status_before,
            lag(h.payment_to) OVER w AS payment_before, lag(h.at) OVER w AS at_before
        FROM campusg.order_history h JOIN campusg.orders o USING (order_id) LEFT JOIN campusg.sagas s ON s.saga_id = h.saga_id
        WINDOW w AS (PARTITION BY h.order_id ORDER BY h.version)),
    wrong AS (
        SELECT order_id, saga_id, version, concat_ws('; ',
            CASE WHEN version > 1 AND at_before IS NOT NULL
                    AND (status_from IS DISTINCT FROM status_before OR payment_from IS DISTINCT FROM payment_before)
                THEN concat('goes on from ', status_from, '/', payment_from, ' after ', status_before, '/', payment_before) END,
            CASE WHEN version = 1 AND (status_from, payment_from, status_to, payment_to)
                    IS DISTINCT FROM (CAST(NULL AS text), CAST(NULL AS text), 'CREATED', 'PENDING')
                THEN 'begins otherwise than CREATED/PENDING' END,
            CASE WHEN event <> CASE WHEN version = 1 THEN 'order.created' WHEN status_from IS DISTINCT FROM status_to
                    THEN 'order.status_changed' WHEN payment_from IS DISTINCT FROM payment_to THEN 'order.payment_status_changed'
                    ELSE 'order.updated' END THEN concat('is no ', event) END,
            CASE WHEN at < at_before - interval '1 minute' THEN concat('at ', at, ', after ', at_before) END,
            CASE WHEN actor !~ '^((customer|runner|admin|partner):.+|system)$'
                    OR actor LIKE 'customer:%' AND actor <> 'customer:' || customer_id
                THEN concat('by ', actor) END,
            CASE WHEN saga_id IS NOT NULL AND saga_of IS DISTINCT FROM order_id THEN 'by a saga that is none of this order' END,
            CASE WHEN coalesce(saga, '') IN ({", ".join(f"'{name}'" for name in SAGAS)}) AND (
                    status_from <> status_to AND (status_from, status_to, coalesce(saga, '')) NOT IN ({_of(MOVES)})
                    OR payment_from <> payment_to AND (payment_from, payment_to, coalesce(saga, '')) NOT IN ({_of(PAYMENT_MOVES)}))
                THEN concat('from ', status_from, '/', payment_from, ' to ', status_to, '/', payment_to, ' by ',
                    coalesce(saga, 'no saga')) END) AS said
        FROM chained)
    SELECT order_id, saga_id, concat('version ', version, ': ', said) AS detail FROM wrong WHERE said <> ''""",  # noqa: S608 - literals of ours
)

"""What holds of orders and sagas that have not ended: nothing is stuck, nothing is held by nobody, no money rests."""

from chalicelib.operations.audit.rule import Rule

# A saga suspended by a refusal awaits nothing, and rightly so: the code of its error says so.
SAGA_WITHOUT_COMMAND = Rule(
    "saga_without_command",
    "a saga that has not ended awaits a reply by a deadline, or is suspended",
    """
    SELECT order_id, saga_id, concat(name, ' is ', status, ', awaits ', coalesce(awaited_id, 'nothing'),
        ', due ', coalesce(CAST(due_at AS text), 'never')) AS detail
    FROM campusg.sagas
    WHERE ended_at IS NULL AND CASE status
        WHEN 'FAILED' THEN awaited_id IS NULL AND coalesce(error ->> 'code', '') NOT IN ('refused', 'rejected', 'declined')
        ELSE awaited_id IS NULL OR pending IS NULL OR due_at IS NULL END""",
)
SAGA_OVERDUE = Rule(
    "saga_overdue",
    "a deadline that has passed is dealt with by the next sweeps",
    """
    SELECT order_id, saga_id,
        concat(name, ' version ', definition_version, ' was due at ', due_at, ', set back ', setbacks, ' times') AS detail
    FROM campusg.sagas WHERE ended_at IS NULL AND due_at <= CAST(:late AS timestamptz)""",
)
# Of each bucket the oldest few, which an index finds.
OUTBOX_OLD = Rule(
    "outbox_old",
    "a message is published within five relay periods",
    """
    SELECT ordering_key AS order_id, CAST(NULL AS uuid) AS saga_id,
        concat('message ', message_id, ' for ', topic, ' waits since ', created_at, ', ', failures, ' failures') AS detail
    FROM campusg.outbox_buckets b, LATERAL (SELECT * FROM campusg.outbox o WHERE o.bucket = b.bucket ORDER BY o.id LIMIT 100) oldest
    WHERE created_at <= CAST(:late AS timestamptz)""",
)
OPEN_WITHOUT_TIME_LIMIT = Rule(
    "open_without_time_limit",
    "an open order has a time by which it must be accepted",
    """
    SELECT order_id, active_saga_id AS saga_id, 'READY_FOR_PICKUP without accept_by' AS detail
    FROM campusg.orders WHERE order_status = 'READY_FOR_PICKUP' AND accept_by IS NULL""",
)
SAGA_HOLDS_NOTHING = Rule(
    "saga_holds_nothing",
    "a saga that has not ended holds its order, and the order has not ended",
    """
    SELECT s.order_id, s.saga_id, concat(s.name, ' is ', s.status, '; its order is ', o.order_status,
        ' and held by ', coalesce(CAST(o.active_saga_id AS text), 'nobody')) AS detail
    FROM campusg.sagas s JOIN campusg.orders o USING (order_id)
    WHERE s.ended_at IS NULL
      AND (o.active_saga_id IS DISTINCT FROM s.saga_id OR o.order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT'))""",
)
HELD_BY_NOBODY = Rule(
    "held_by_nobody",
    "an order that is held is held by a saga of its own that has not ended",
    """
    SELECT o.order_id, o.active_saga_id AS saga_id,
        CASE WHEN s.saga_id IS NULL THEN 'there is no such saga' WHEN s.order_id <> o.order_id THEN 'the saga is of another order'
            ELSE concat('the saga ended at ', s.ended_at) END AS detail
    FROM campusg.orders o LEFT JOIN campusg.sagas s ON s.saga_id = o.active_saga_id
    WHERE o.order_status IN ('CREATED', 'PENDING_PAYMENT', 'PAYMENT_AUTHORIZED', 'READY_FOR_PICKUP', 'ACCEPTED', 'COLLECTED',
            'ON_THE_WAY', 'DELIVERED')
      AND o.active_saga_id IS NOT NULL AND (s.saga_id IS NULL OR s.order_id <> o.order_id OR s.ended_at IS NOT NULL)""",
)
SAGAS_AT_ONCE = Rule(
    "sagas_at_once",
    "an order has one saga at a time",
    """
    SELECT order_id, CAST(NULL AS uuid) AS saga_id,
        concat(count(*), ' sagas have not ended: ', string_agg(name, ', ' ORDER BY saga_id)) AS detail
    FROM campusg.sagas WHERE ended_at IS NULL GROUP BY order_id HAVING count(*) > 1""",
)
MONEY_OPEN = Rule(
    "money_open",
    "money does not rest in an order that nothing has happened to for a day",
    """
    SELECT order_id, active_saga_id AS saga_id, concat(currency, ' ', total, ' is ', payment_status, ', the order ', order_status,
        ' and unchanged for ', date_trunc('second', CAST(:now AS timestamptz) - updated_at)) AS detail
    FROM campusg.orders
    WHERE order_status IN ('CREATED', 'PENDING_PAYMENT', 'PAYMENT_AUTHORIZED', 'READY_FOR_PICKUP', 'ACCEPTED', 'COLLECTED',
            'ON_THE_WAY', 'DELIVERED')
      AND payment_status IN ('PENDING', 'AUTHORIZED', 'CAPTURED') AND updated_at <= CAST(:rested AS timestamptz)""",
)
HELD_AFTER_THE_END = Rule(
    "held_after_the_end",
    "an order that has ended is held by no saga",
    """
    SELECT order_id, active_saga_id AS saga_id, concat('the order is ', order_status) AS detail
    FROM campusg.orders WHERE order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT') AND active_saga_id IS NOT NULL""",
)

"""The simulated partners' books against our orders, as rules of the audit: one state of both, where both are in one database.

An order that no saga holds waits for nobody, so what the partners have of it must be just what it says. An order that is held is still
being worked on; its books are compared when it comes to rest.
"""

from chalicelib.operations.audit import Rule

# What may stand there for an order's two statuses: its own payment, and its own hold. Whatever else was asked for must be given back.
EXPECTED = """
    WITH expected (order_status, payment_status, payment, hold) AS (VALUES
        ('READY_FOR_PICKUP', 'AUTHORIZED', 'AUTHORIZED', 'HELD'), ('ACCEPTED', 'AUTHORIZED', 'AUTHORIZED', 'HELD'),
        ('COLLECTED', 'AUTHORIZED', 'AUTHORIZED', 'HELD'), ('ON_THE_WAY', 'AUTHORIZED', 'AUTHORIZED', 'HELD'),
        ('DELIVERED', 'AUTHORIZED', 'AUTHORIZED', 'HELD'), ('DELIVERED', 'REFUNDED', 'REFUNDED', 'REFUNDED'),
        ('COMPLETED', 'CAPTURED', 'CAPTURED', 'RELEASED'), ('CANCELLED', 'RELEASED', 'RELEASED', 'REFUNDED'),
        ('TIMED_OUT', 'RELEASED', 'RELEASED', 'REFUNDED'), ('CANCELLED', 'FAILED', 'RELEASED', 'REFUNDED'))"""

ENDED = "('COMPLETED', 'CANCELLED', 'TIMED_OUT')"

# Up to this id an order that isn't there was purged; ids sort as texts as they do as bytes.
PURGED = "(SELECT CAST(order_id AS text) FROM campusg.purged)"

LEDGER_OPEN = Rule(
    "ledger_open",
    "no money of an order that has ended stands in the simulated partners' books",
    f"""
    SELECT o.order_id, CAST(NULL AS uuid) AS saga_id, concat(kind, ' ', id, ' over ', m.currency, ' ', m.amount, ' stands since ',
        to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ' UTC, the order is ',
        coalesce(o.order_status, 'unknown')) AS detail
    FROM (
        SELECT 'authorization' AS kind, payment_id AS id, order_id, amount, currency, created_at
        FROM partners.payments WHERE status = 'AUTHORIZED'
        UNION ALL
        SELECT 'hold', escrow_id, order_id, amount, currency, created_at FROM partners.holds WHERE status = 'HELD') m
    LEFT JOIN campusg.orders o ON CAST(o.order_id AS text) = m.order_id
    WHERE o.order_id IS NULL OR o.order_status IN {ENDED}""",  # noqa: S608 - literals of ours
)
LEDGER_PAYMENTS = Rule(
    "ledger_payments",
    "the partners' books have the payment that an order says, over its total, and no other that was not given back",
    f"""
    {EXPECTED}
    SELECT o.order_id, CAST(NULL AS uuid) AS saga_id, concat('payment ', p.payment_id, ' of ', p.customer_id, ' over ', p.currency, ' ',
        p.amount, ' is ', p.status, ' since ', p.changed_at, ', the order is ',
        coalesce(o.order_status || '/' || o.payment_status, 'unknown')) AS detail
    FROM partners.payments p LEFT JOIN campusg.orders o ON CAST(o.order_id AS text) = p.order_id
    LEFT JOIN expected e USING (order_status, payment_status)
    WHERE CASE WHEN o.order_id IS NULL THEN p.status = 'CAPTURED' AND p.order_id > {PURGED}
        WHEN o.active_saga_id IS NOT NULL OR p.status = 'AUTHORIZED' AND o.order_status IN {ENDED} THEN false
        WHEN p.payment_id = o.payment_id
            THEN (p.status, p.amount, p.currency, p.customer_id) IS DISTINCT FROM (e.payment, o.total, o.currency, o.customer_id)
        ELSE p.status <> 'RELEASED' END
    UNION ALL
    SELECT o.order_id, CAST(NULL AS uuid), concat('payment ', o.payment_id, ' is not there, the order is ', o.order_status)
    FROM campusg.orders o JOIN partners.orders known ON known.order_id = CAST(o.order_id AS text)
    WHERE o.active_saga_id IS NULL AND o.payment_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM partners.payments p WHERE p.payment_id = o.payment_id AND p.order_id = known.order_id)""",  # noqa: S608 - literals of ours
)
LEDGER_HOLDS = Rule(
    "ledger_holds",
    "the partners' books have the hold that an order says, over its total, for its runner, and no other that was not given back",
    f"""
    {EXPECTED}
    SELECT o.order_id, CAST(NULL AS uuid) AS saga_id, concat('hold ', h.escrow_id, ' of ', h.customer_id, ' over ', h.currency, ' ',
        h.amount, ' is ', h.status, ' for ', coalesce(h.runner_id, 'nobody'), coalesce(' on account ' || h.payout_account_id, ''),
        ' since ', h.changed_at, ', the order is ', coalesce(o.order_status || '/' || o.payment_status, 'unknown'),
        ' of runner ', coalesce(o.runner_id, 'nobody'), coalesce(' on account ' || paid.account, '')) AS detail
    FROM partners.holds h LEFT JOIN campusg.orders o ON CAST(o.order_id AS text) = h.order_id
    LEFT JOIN expected e USING (order_status, payment_status)
    LEFT JOIN LATERAL (
        SELECT facts ->> 'payout_account_id' AS account FROM campusg.sagas s
        WHERE s.order_id = o.order_id AND s.name = 'complete_order' AND s.status = 'COMPLETED' LIMIT 1) paid ON true
    WHERE CASE WHEN o.order_id IS NULL THEN h.status = 'RELEASED' AND h.order_id > {PURGED}
        WHEN o.active_saga_id IS NOT NULL OR h.status = 'HELD' AND o.order_status IN {ENDED} THEN false
        WHEN h.escrow_id = o.escrow_id
            THEN (h.status, h.amount, h.currency, h.customer_id) IS DISTINCT FROM (e.hold, o.total, o.currency, o.customer_id)
              OR h.status IN ('HELD', 'RELEASED') AND h.runner_id IS DISTINCT FROM o.runner_id
              OR h.status = 'RELEASED' AND h.payout_account_id IS DISTINCT FROM paid.account
        ELSE h.status <> 'REFUNDED' END
    UNION ALL
    SELECT o.order_id, CAST(NULL AS uuid), concat('hold ', o.escrow_id, ' is not there, the order is ', o.order_status)
    FROM campusg.orders o JOIN partners.orders known ON known.order_id = CAST(o.order_id AS text)
    WHERE o.active_saga_id IS NULL AND o.escrow_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM partners.holds h WHERE h.escrow_id = o.escrow_id AND h.order_id = known.order_id)""",  # noqa: S608 - literals of ours
)
BOOK_RULES = (LEDGER_OPEN, LEDGER_PAYMENTS, LEDGER_HOLDS)

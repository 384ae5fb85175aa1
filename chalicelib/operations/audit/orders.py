"""What holds of an order's own fields, and of those that its sagas and its history know as well."""

from chalicelib.operations.audit.rule import Rule

# Prices are texts in a JSON column: what is no number must be found wrong, and not break the audit.
SUMS_DISAGREE = Rule(
    "sums_disagree",
    "an order's items add up to its food fee, the fees to its total, in the one currency there is",
    r"""
    SELECT order_id, active_saga_id AS saga_id,
        concat(coalesce(CAST(items AS text), 'what are no numbers'), ' for items, food_fee ', food_fee, ', delivery_fee ', delivery_fee,
            ', total ', currency, ' ', total) AS detail
    FROM (
        SELECT o.*, (
            SELECT sum(CASE WHEN item ->> 'price' ~ '^\d{1,6}(\.\d{1,2})?$' AND item ->> 'quantity' ~ '^\d{1,4}$'
                THEN CAST(item ->> 'price' AS numeric) * CAST(item ->> 'quantity' AS numeric) ELSE 'NaN' END)
            FROM jsonb_array_elements(CASE jsonb_typeof(food_items) WHEN 'array' THEN food_items ELSE '[]' END) item) AS items
        FROM campusg.orders o) o
    WHERE items IS DISTINCT FROM food_fee OR food_fee + delivery_fee <> total OR currency <> 'SGD'""",
)
IDS_SHARED = Rule(
    "ids_shared",
    "a partner's payment and hold belong to one order",
    """
    SELECT order_id, active_saga_id AS saga_id, concat(kind, ' ', id, ' is that of ', orders, ' orders') AS detail
    FROM (
        SELECT order_id, active_saga_id, 'payment' AS kind, payment_id AS id, count(*) OVER (PARTITION BY payment_id) AS orders
        FROM campusg.orders WHERE payment_id IS NOT NULL
        UNION ALL
        SELECT order_id, active_saga_id, 'hold', escrow_id, count(*) OVER (PARTITION BY escrow_id)
        FROM campusg.orders WHERE escrow_id IS NOT NULL) ids
    WHERE orders > 1""",
)
TIMES_DISAGREE = Rule(
    "times_disagree",
    "an order's times are those of the history's entries that entered the statuses",
    """
    WITH entered AS (
        SELECT order_id, min(at) AS created_at, max(at) AS updated_at,
            max(at) FILTER (WHERE status_to = 'ACCEPTED') AS accepted_at, max(at) FILTER (WHERE status_to = 'COLLECTED') AS collected_at,
            max(at) FILTER (WHERE status_to = 'ON_THE_WAY') AS on_the_way_at,
            max(at) FILTER (WHERE status_to = 'DELIVERED') AS delivered_at,
            max(at) FILTER (WHERE status_to = 'COMPLETED') AS completed_at, max(at) FILTER (WHERE status_to = 'CANCELLED') AS cancelled_at,
            max(at) FILTER (WHERE status_to = 'READY_FOR_PICKUP') AS opened_at
        FROM (SELECT order_id, at, CASE WHEN status_to IS DISTINCT FROM status_from THEN status_to END AS status_to
              FROM campusg.order_history) h GROUP BY order_id),
    wrong AS (
        SELECT order_id, concat_ws(', ',
            CASE WHEN o.created_at <> e.created_at THEN 'created_at' END,
            CASE WHEN o.updated_at <> e.updated_at THEN 'updated_at' END,
            CASE WHEN o.accepted_at IS DISTINCT FROM e.accepted_at THEN 'accepted_at' END,
            CASE WHEN o.collected_at IS DISTINCT FROM e.collected_at THEN 'collected_at' END,
            CASE WHEN o.on_the_way_at IS DISTINCT FROM e.on_the_way_at THEN 'on_the_way_at' END,
            CASE WHEN o.delivered_at IS DISTINCT FROM e.delivered_at THEN 'delivered_at' END,
            CASE WHEN o.completed_at IS DISTINCT FROM e.completed_at THEN 'completed_at' END,
            CASE WHEN o.cancelled_at IS DISTINCT FROM e.cancelled_at THEN 'cancelled_at' END,
            CASE WHEN (o.accept_by IS NULL) <> (e.opened_at IS NULL) OR o.accept_by < e.opened_at - interval '1 minute'
                THEN 'accept_by' END) AS names
        FROM campusg.orders o JOIN entered e USING (order_id))
    SELECT order_id, CAST(NULL AS uuid) AS saga_id, concat(names, ': not as in the history') AS detail FROM wrong WHERE names <> ''""",
)
# A saga's data has what partners answered. An order's runner is whoever accepted it last and has neither given it back nor been undone.
FACTS_DISAGREE = Rule(
    "facts_disagree",
    "an order has the customer, the runner, the ids and the reason that its sagas know",
    """
    WITH known AS (
        SELECT o.order_id, o.customer_id, o.runner_id, o.payment_id, o.escrow_id, o.cancel_reason, o.order_status, o.authorization_expired,
            c.creations, c.facts AS creation, c.customer, r.runner, e.reason, x.expiries
        FROM campusg.orders o
        CROSS JOIN LATERAL (
            SELECT count(*) AS creations, jsonb_object_agg('facts', facts) -> 'facts' AS facts, min(coalesce(
                jsonb_path_query_first(steps, '$[*].tries[*].reply.data.customerId') #>> '{}',
                substring(pending -> 'message' ->> 'value' FROM '"customerId":"([^"]*)"'))) AS customer
            FROM campusg.sagas s WHERE s.order_id = o.order_id AND s.name = 'create_order') c
        LEFT JOIN LATERAL (
            SELECT CASE WHEN name = 'accept_order' AND status <> 'COMPENSATED' THEN facts ->> 'runner_id' END AS runner
            FROM campusg.sagas s
            WHERE s.order_id = o.order_id AND (name = 'accept_order' OR name = 'cancel_acceptance' AND status = 'COMPLETED')
            ORDER BY started_at DESC, saga_id DESC LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT CASE WHEN name = 'cancel_order' OR error ->> 'code' = 'cancelled' THEN facts ->> 'cancel_reason'
                ELSE left(error ->> 'detail', 255) END AS reason
            FROM campusg.sagas s
            WHERE s.order_id = o.order_id
              AND (name = 'cancel_order' AND status = 'COMPLETED' OR name = 'create_order' AND status = 'COMPENSATED')
            ORDER BY started_at DESC, saga_id DESC LIMIT 1) e ON true
        CROSS JOIN LATERAL (
            SELECT count(*) AS expiries FROM campusg.order_history h
            WHERE h.order_id = o.order_id AND h.detail ->> 'cause' = 'payment.authorization_expired') x),
    wrong AS (
        SELECT order_id, concat_ws('; ',
            CASE WHEN creations <> 1 THEN concat(creations, ' sagas have created it') END,
            CASE WHEN customer <> customer_id THEN concat('customer ', customer_id, ', but ', customer, ' was asked about') END,
            CASE WHEN payment_id IS DISTINCT FROM creation ->> 'payment_id' THEN
                concat('payment ', payment_id, ', but the saga knows ', creation ->> 'payment_id') END,
            CASE WHEN escrow_id IS DISTINCT FROM creation ->> 'escrow_id' THEN
                concat('hold ', escrow_id, ', but the saga knows ', creation ->> 'escrow_id') END,
            CASE WHEN runner_id IS DISTINCT FROM runner THEN
                concat('runner ', coalesce(runner_id, 'nobody'), ', but ', coalesce(runner, 'nobody'), ' accepted') END,
            CASE WHEN cancel_reason IS DISTINCT FROM CASE WHEN order_status IN ('CANCELLED', 'TIMED_OUT') THEN reason END
                THEN 'another reason than that of the saga that ended it' END,
            CASE WHEN authorization_expired <> (expiries > 0) THEN concat('expired: ', authorization_expired, ', but the history tells of ',
                expiries) END) AS detail
        FROM known)
    SELECT order_id, CAST(NULL AS uuid) AS saga_id, detail FROM wrong WHERE detail <> ''""",
)

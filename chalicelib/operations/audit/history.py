"""What holds of an order's history."""

from chalicelib.operations.audit.rule import Rule

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

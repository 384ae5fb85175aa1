"""What holds of a saga's row: its steps are those of its definition, stand as its status says, and agree with what was asked and answered.

Written without the definitions, so that it can find those wrong; a test compares the two.
"""

from chalicelib.operations.audit.rule import Rule, array, pairs

# The steps of every released version, in order. A version that is not here was started by a newer release.
STEPS: dict[tuple[str, int], tuple[str, ...]] = {
    ("create_order", 1): ("validate_customer", "authorize_payment", "hold_escrow", "open_order", "notify_customer"),
    ("accept_order", 1): ("reserve", "validate_runner", "assign_escrow", "confirm", "notify_customer", "notify_runner"),
    ("complete_order", 1): ("validate_runner", "capture_payment", "release_escrow", "close", "notify_customer", "notify_runner"),
    ("cancel_acceptance", 1): ("unassign_runner", "reopen", "notify_customer"),
    ("cancel_order", 1): ("unassign_runner", "refund_escrow", "release_payment", "close", "notify"),
}
# What a saga keeps of a reply: saga, step, type of the reply, its field, its name among the saga data.
KEPT: tuple[tuple[str, str, str, str, str], ...] = (
    ("create_order", "validate_customer", "user.customer_validated", "paymentMethodId", "payment_method_id"),
    ("create_order", "authorize_payment", "payment.authorized", "paymentId", "payment_id"),
    ("create_order", "hold_escrow", "escrow.held", "escrowId", "escrow_id"),
    ("complete_order", "validate_runner", "user.runner_validated", "payoutAccountId", "payout_account_id"),
)
CODES = "'declined', 'rejected', 'refused', 'silent', 'cancelled', 'expired', 'timeout'"

_KNOWN = pairs((name, str(version), ",".join(steps)) for (name, version), steps in STEPS.items())
_NAMES = pairs((name,) for name in sorted({name for name, _ in STEPS}))

SAGA_DISAGREES = Rule(
    "saga_disagrees",
    "a saga's steps, error, times and pending command are as its status says",
    f"""
    WITH known (name, version, steps) AS ({_KNOWN}),
    looked AS (
        SELECT s.*, o.order_status, o.total, k.steps AS expected, p.asked, p.last_try,
            a.names, a.all_done, a.at_work,
            s.pending -> 'message' ->> 'value' AS message
        FROM campusg.sagas s JOIN campusg.orders o USING (order_id)
        LEFT JOIN known k ON k.name = s.name AND k.version = CAST(s.definition_version AS text)
        CROSS JOIN LATERAL (
            SELECT string_agg(step ->> 'name', ',' ORDER BY n) AS names, bool_and(step ->> 'status' IN ('DONE', 'SKIPPED')) AS all_done,
                bool_or(step ->> 'status' IN ('PENDING', 'RUNNING', 'COMPENSATING')) AS at_work
            FROM jsonb_array_elements({array("s.steps")}) WITH ORDINALITY x(step, n)) a
        LEFT JOIN LATERAL (
            SELECT step ->> 'command_id' AS asked, step -> 'tries' -> -1 AS last_try FROM jsonb_array_elements({array("s.steps")}) x(step)
            WHERE step ->> 'name' = s.pending ->> 'step') p ON true),
    wrong AS (
        SELECT order_id, saga_id, concat_ws('; ',
            CASE WHEN expected IS NULL AND (ended_at IS NOT NULL OR definition_version = 1) AND name NOT IN ({_NAMES})
                THEN concat('no saga is called ', name) END,
            CASE WHEN jsonb_typeof(facts) <> 'object' THEN 'its data is no object' END,
            CASE WHEN names IS DISTINCT FROM coalesce(expected, names) THEN concat('its steps are ', names) END,
            CASE WHEN status = 'COMPLETED' AND (all_done IS NOT TRUE OR error IS NOT NULL)
                THEN 'COMPLETED with an error or undone steps' END,
            CASE WHEN status = 'COMPENSATED' AND (at_work IS NOT FALSE OR error IS NULL)
                THEN 'COMPENSATED without an error, or steps at work' END,
            CASE WHEN status = 'COMPLETED' AND name = 'cancel_order' AND facts ->> 'ending' IS DISTINCT FROM order_status
                THEN concat('meant to end ', facts ->> 'ending', ', the order is ', order_status) END,
            CASE WHEN status = 'RUNNING' AND pending ->> 'undo' <> 'false' OR status = 'COMPENSATING' AND pending ->> 'undo' <> 'true'
                THEN concat(status, ', but what is awaited is ', CASE pending ->> 'undo' WHEN 'true' THEN 'an undo' ELSE 'no undo' END) END,
            CASE WHEN status = 'COMPENSATING' AND error IS NULL OR status = 'FAILED' AND (error IS NULL OR due_at IS NOT NULL)
                THEN concat(status, ' without an error, or with a deadline') END,
            CASE WHEN error IS NOT NULL AND coalesce(error ->> 'code', '') NOT IN ({CODES})
                THEN concat('no such error: ', error ->> 'code') END,
            CASE WHEN status IN ('COMPLETED', 'COMPENSATED') AND (awaited_id IS NOT NULL OR due_at IS NOT NULL)
                THEN 'ended, but awaits' END,
            CASE WHEN due_at > CAST(:now AS timestamptz) + interval '10 minutes' THEN concat('due only at ', due_at) END,
            CASE WHEN (awaited_id IS NULL) <> (pending IS NULL) OR awaited_id <> pending ->> 'command_id' THEN 'awaits another command' END,
            CASE WHEN pending IS NOT NULL AND (asked IS DISTINCT FROM awaited_id
                    OR last_try ->> 'command_id' IS DISTINCT FROM awaited_id OR last_try ->> 'undo' IS DISTINCT FROM pending ->> 'undo'
                    OR last_try ->> 'reply' IS NOT NULL)
                THEN 'the step that is awaited has asked for something else, or is settled' END,
            CASE WHEN pending IS NOT NULL AND (pending -> 'message' ->> 'key' IS DISTINCT FROM CAST(order_id AS text)
                    OR NOT coalesce(pending -> 'message' -> 'headers' @> jsonb_build_array(
                        jsonb_build_array('ce_id', awaited_id), jsonb_build_array('ce_sagaid', CAST(saga_id AS text))), false)
                    OR message IS NULL OR message LIKE '%"orderId":%' AND strpos(message, concat('"orderId":"', order_id, '"')) = 0
                    OR message LIKE '%"amount":%' AND strpos(message, concat('"amount":"', total, '"')) = 0)
                THEN 'the command is not of this saga, order or total' END,
            CASE WHEN NOT EXISTS (SELECT FROM campusg.order_history h WHERE h.order_id = looked.order_id AND h.at = started_at)
                OR ended_at IS NOT NULL AND NOT EXISTS (
                    SELECT FROM campusg.order_history h WHERE h.order_id = looked.order_id AND h.at = ended_at)
                THEN 'began or ended at a time that the history does not know' END) AS detail
        FROM looked)
    SELECT order_id, saga_id, detail FROM wrong WHERE detail <> ''""",  # noqa: S608 - literals of ours
)
REPLIES_DISAGREE = Rule(
    "replies_disagree",
    "a saga's data is what the replies said that it has kept, and is not kept where nobody said it",
    f"""
    WITH kept (name, step, type, field, fact) AS ({pairs(KEPT)})
    SELECT s.order_id, s.saga_id, concat(k.fact, ' is ', coalesce(s.facts ->> k.fact, 'not known'), ', but ', k.type, ' said ',
        coalesce(r.said, 'nothing')) AS detail
    FROM campusg.sagas s JOIN kept k ON k.name = s.name
    LEFT JOIN LATERAL (
        SELECT try -> 'reply' -> 'data' ->> k.field AS said
        FROM jsonb_array_elements({array("s.steps")}) x(stored)
        CROSS JOIN jsonb_array_elements({array("stored -> 'tries'")}) WITH ORDINALITY t(try, n)
        WHERE stored ->> 'name' = k.step AND try -> 'reply' ->> 'type' = k.type ORDER BY n DESC LIMIT 1) r ON true
    WHERE r.said IS DISTINCT FROM s.facts ->> k.fact""",  # noqa: S608 - literals of ours
)

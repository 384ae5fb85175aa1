"""What holds of an order's money, as the replies that its sagas have kept tell it."""

from chalicelib.operations.audit.rule import Rule, array

# Derived from what the sagas keep: every command tried and the reply that settled it. A command without a reply counts as maybe done.
# A payment that was given back after its capture ends an order's money though the order itself stays DELIVERED.
MONEY_ASTRAY = Rule(
    "money_astray",
    "authorization and hold of an order are as its statuses say, ended once where it has, for its total, paid out to its runner only",
    f"""
    WITH every AS (
        SELECT order_id, order_status, payment_status, total, payment_id, escrow_id, runner_id, active_saga_id IS NOT NULL AS is_held
        FROM campusg.orders),
    tries AS (
        SELECT o.*, s.started_at, s.name, s.facts, t.ask, t.reply, t.said,
            CASE WHEN t.said ->> 'amount' ~ '^-?[0-9]{{1,10}}([.][0-9]{{1,2}})?$' THEN CAST(t.said ->> 'amount' AS numeric)
                WHEN t.said ->> 'amount' IS NOT NULL THEN 'NaN' END AS amount,
            t.reply IN ('payment.authorized', 'payment.captured', 'payment.released', 'payment.refunded') AS of_payment,
            t.reply IN ('escrow.held', 'escrow.released', 'escrow.refunded', 'escrow.runner_assigned',
                'escrow.runner_unassigned') AS of_escrow
        FROM every o JOIN campusg.sagas s USING (order_id)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN try ->> 'undo' = 'false' THEN step ->> 'name' END AS ask,
                coalesce(try -> 'reply' ->> 'type', '') AS reply, try -> 'reply' -> 'data' AS said
            FROM jsonb_array_elements({array("s.steps")}) step CROSS JOIN jsonb_array_elements({array("step -> 'tries'")}) try) t),
    books AS (
        SELECT order_id,
            count(*) FILTER (WHERE ask = 'authorize_payment' AND reply <> 'payment.declined') AS authorizations,
            count(*) FILTER (WHERE reply = 'payment.authorized') AS authorized,
            count(*) FILTER (WHERE reply = 'payment.captured') AS captured,
            count(*) FILTER (WHERE reply = 'payment.released') AS released,
            count(*) FILTER (WHERE reply = 'payment.refunded') AS refunded,
            count(*) FILTER (WHERE ask = 'hold_escrow' AND reply <> 'escrow.hold_failed') AS holds,
            count(*) FILTER (WHERE reply = 'escrow.held') AS held,
            count(*) FILTER (WHERE reply = 'escrow.released') AS paid_out,
            count(*) FILTER (WHERE reply = 'escrow.refunded') AS given_back,
            string_agg(concat(reply, ' ', said ->> 'amount'), ', ' ORDER BY started_at) FILTER (
                WHERE reply <> 'escrow.refunded' AND amount <> total) AS other_amounts,
            min(amount) FILTER (WHERE reply = 'escrow.refunded') AS given_back_amount,
            string_agg(reply, ', ' ORDER BY started_at) FILTER (
                WHERE of_payment AND said ->> 'paymentId' <> payment_id OR of_escrow AND said ->> 'escrowId' <> escrow_id) AS other_ids,
            (array_agg(said ->> 'runnerId' ORDER BY started_at DESC) FILTER (WHERE reply = 'escrow.runner_assigned'))[1] AS assigned,
            bool_and(said ->> 'runnerId' = runner_id) FILTER (
                WHERE reply = 'user.runner_validated' AND name = 'complete_order') AS runner_checked,
            bool_or(said ->> 'payoutAccountId' = facts ->> 'payout_account_id') FILTER (
                WHERE reply = 'user.runner_validated' AND name = 'complete_order') AS account_known
        FROM tries GROUP BY order_id),
    findings AS (
        SELECT order_id, concat_ws('; ',
            CASE WHEN NOT CASE payment_status
                    WHEN 'CAPTURED' THEN order_status IN ('COMPLETED', 'DELIVERED')
                        AND (authorized, captured, released, refunded) = (1, 1, 0, 0)
                    WHEN 'REFUNDED' THEN order_status = 'DELIVERED' AND (authorized, captured, released, refunded) = (1, 1, 0, 1)
                    WHEN 'RELEASED' THEN order_status <> 'COMPLETED' AND (authorized, captured, released, refunded) = (1, 0, 1, 0)
                    WHEN 'FAILED' THEN order_status <> 'COMPLETED'
                        AND (authorized, captured, released, refunded) = (0, 0, least(authorizations, 1), 0)
                    WHEN 'PENDING' THEN order_status IN ('CREATED', 'PENDING_PAYMENT')
                        AND (authorized, captured, released, refunded) = (0, 0, 0, 0)
                    WHEN 'AUTHORIZED' THEN order_status NOT IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT')
                        AND (authorized, captured, released, refunded) = (1, 0, 0, 0)
                    ELSE false END
                THEN concat('payment: ', order_status, '/', payment_status, ', but ', authorized, ' authorized, ', captured, ' captured, ',
                    released, ' released, ', refunded, ' refunded') END,
            CASE WHEN NOT CASE order_status
                    WHEN 'COMPLETED' THEN (held, paid_out, given_back) = (1, 1, 0)
                    WHEN 'CANCELLED' THEN held <= 1 AND (paid_out, given_back) = (0, least(holds, 1))
                    WHEN 'TIMED_OUT' THEN (held, paid_out, given_back) = (1, 0, 1)
                    WHEN 'CREATED' THEN (holds, paid_out, given_back) = (0, 0, 0)
                    WHEN 'PENDING_PAYMENT' THEN (holds, paid_out, given_back) = (0, 0, 0)
                    WHEN 'PAYMENT_AUTHORIZED' THEN (held, paid_out) = (0, 0) AND given_back <= 1
                    ELSE (held, paid_out) = (1, 0) AND CASE
                        WHEN payment_status = 'REFUNDED' THEN given_back = 1 WHEN is_held THEN given_back <= 1 ELSE given_back = 0 END END
                THEN concat('hold: ', order_status, ', but ', held, ' held, ', paid_out, ' paid out, ', given_back, ' given back') END,
            CASE WHEN other_amounts IS NOT NULL OR given_back_amount <> total AND (held > 0 OR given_back_amount <> 0)
                THEN concat('amount: ', total, ', but ', coalesce(other_amounts, concat('escrow.refunded ', given_back_amount))) END,
            CASE WHEN other_ids IS NOT NULL THEN concat('id: another one in ', other_ids) END,
            CASE WHEN paid_out > 0 AND NOT coalesce(assigned = runner_id AND runner_checked AND account_known, false)
                THEN concat('payee: ', runner_id, ', but ', coalesce(assigned, 'nobody'), ' was assigned',
                    CASE WHEN runner_checked THEN '' ELSE ', somebody else validated' END,
                    CASE WHEN account_known THEN '' ELSE ', the account is not the one named for the runner' END) END) AS detail
        FROM every JOIN (
            SELECT o.order_id, coalesce(authorizations, 0) AS authorizations, coalesce(authorized, 0) AS authorized,
                coalesce(captured, 0) AS captured, coalesce(released, 0) AS released, coalesce(refunded, 0) AS refunded,
                coalesce(holds, 0) AS holds, coalesce(held, 0) AS held, coalesce(paid_out, 0) AS paid_out,
                coalesce(given_back, 0) AS given_back, other_amounts, given_back_amount, other_ids, assigned, runner_checked, account_known
            FROM every o LEFT JOIN books USING (order_id)) b USING (order_id))
    SELECT order_id, CAST(NULL AS uuid) AS saga_id, detail FROM findings WHERE detail <> ''""",  # noqa: S608 - literals of ours
)

"""The board: what is under way, what waits, and what the last hour's minutes were like, by one statement.

What is under way is counted as it is now, but only up to a thousand of a kind; what has ended is in the samples. So neither the number of
orders nor that of sagas makes it dearer. Nothing on it changes by itself: where nothing happens it stays equal until the next sample.
"""

import json
from datetime import datetime
from types import SimpleNamespace

import sqlalchemy as sa

from chalicelib.fields import BOOLEAN, COUNT, MOMENT, NAME, TEXT, Field, Kind, Table, each, maybe, one_of, part
from chalicelib.messages.envelope import timestamp
from chalicelib.messaging.dead_letter_queries import WAITS
from chalicelib.orders.lifecycle import ORDER_MOVES
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.state import ENDED, SagaStatus

# Of a kind so many are counted; of more it is only said that there are more.
MOST_COUNTED = 1_000
MINUTES = 60

# BETWEEN and the order leave the planner but one index; for = it may rather read a whole table or all ids up to the limit.
ORDERS = """
    SELECT json_agg(json_build_object('status', status, 'number', least(number, :most), 'at_least', number > :most) ORDER BY place)
    FROM unnest(CAST(:under_way AS text[])) WITH ORDINALITY known (status, place), LATERAL (
        SELECT count(*) AS number FROM (
            SELECT FROM campusg.orders o WHERE o.order_status BETWEEN known.status AND known.status
            ORDER BY o.order_status, o.payment_status, o.order_id LIMIT :most + 1) found) counted"""
ENDED_ORDERS = """
    SELECT json_agg(json_build_object('status', status, 'number', number)) FROM (
        SELECT sum(orders_completed) AS completed, sum(orders_cancelled) AS cancelled, sum(orders_timed_out) AS timed_out
        FROM campusg.samples) kept,
        LATERAL (VALUES ('COMPLETED', coalesce(completed, 0)), ('CANCELLED', coalesce(cancelled, 0)), ('TIMED_OUT', coalesce(timed_out, 0)))
        ended (status, number)"""
# The condition on 'COMPLETED' is that of the index. A status that has more than are counted has them of all its names.
SAGAS = """
    SELECT coalesce(json_agg(json_build_object('name', name, 'status', status, 'number', number, 'at_least', at_least)
        ORDER BY name, place), '[]')
    FROM unnest(CAST(:unended AS text[])) WITH ORDINALITY known (status, place), LATERAL (
        SELECT name, count(*) AS number, sum(count(*)) OVER () > :most AS at_least FROM (
            SELECT name FROM campusg.sagas s WHERE s.status BETWEEN known.status AND known.status AND s.status <> 'COMPLETED'
            ORDER BY s.status, s.saga_id DESC LIMIT :most + 1) found
        GROUP BY name) counted"""
OUTBOX = """
    SELECT json_build_object('waiting', least(count(*), :most), 'at_least', count(*) > :most, 'oldest_at', min(created_at))
    FROM (SELECT created_at FROM campusg.outbox ORDER BY id LIMIT :most + 1) oldest"""
DEAD_LETTERS = f"""
    SELECT json_build_object('waiting', least(coalesce(sum(number), 0), :most), 'at_least', coalesce(sum(number), 0) > :most, 'by_error',
        coalesce(json_agg(json_build_object('error_class', error_class, 'number', number) ORDER BY error_class), '[]'))
    FROM (
        SELECT error_class, count(*) AS number FROM (
            SELECT error_class FROM campusg.dead_letters WHERE {WAITS} ORDER BY error_class LIMIT :most + 1) found
        GROUP BY error_class) counted"""  # noqa: S608 - literals of ours
MEASURED = "SELECT json_build_object('violations', max(violations), 'at', max(taken_at)) FROM newest"
SAMPLES = """
    SELECT coalesce(json_agg(sample ORDER BY sample.at), '[]') FROM (
        SELECT at, orders_created, orders_completed, orders_cancelled, sagas_ended, steps_ended, step_p50_ms, step_p99_ms, at_least,
            outbox_age_seconds, dead_letters, violations
        FROM campusg.samples WHERE at > (SELECT at FROM newest) - make_interval(mins => :minutes)) sample"""
PARTS = {
    "orders": ORDERS,
    "ended": ENDED_ORDERS,
    "sagas": SAGAS,
    "outbox": OUTBOX,
    "dead_letters": DEAD_LETTERS,
    "invariants": MEASURED,
    "minutes": SAMPLES,
}
READ = sa.text(f"""
    WITH newest AS (SELECT at, taken_at, violations FROM campusg.samples ORDER BY at DESC LIMIT 1)
    SELECT CAST(json_build_object({", ".join(f"'{name}', ({query})" for name, query in PARTS.items())}) AS text)""")  # noqa: S608 - as above
PARAMETERS = {
    "under_way": [status.value for status in OrderStatus if ORDER_MOVES[status]],
    "unended": [status.value for status in SagaStatus if status not in ENDED],
    "most": MOST_COUNTED,
    "minutes": MINUTES,
}

# A time as PostgreSQL writes it into JSON.
AT = Kind(MOMENT.schema, lambda text: timestamp(datetime.fromisoformat(text)))
NUMBER = Field("number", "number", COUNT)
AT_LEAST = Field("atLeast", "at_least", BOOLEAN, "There are more than were counted.")
ORDERS_IN_STATUS = Table("OrdersInStatus", "", (Field("status", "status", one_of(OrderStatus)), NUMBER, AT_LEAST))
ORDERS_ENDED = Table("OrdersEnded", "", (Field("status", "status", one_of(OrderStatus)), NUMBER))
SAGAS_IN_STATUS = Table("SagasInStatus", "", (Field("name", "name", NAME), Field("status", "status", one_of(SagaStatus)), NUMBER, AT_LEAST))
WAITING_MESSAGES = Table("WaitingMessages", "", (Field("waiting", "waiting", COUNT), AT_LEAST, Field("oldestAt", "oldest_at", maybe(AT))))
DEAD_LETTERS_BY_ERROR = Table("DeadLettersByError", "", (Field("errorClass", "error_class", TEXT), NUMBER))
WAITING_DEAD_LETTERS = Table(
    "WaitingDeadLetters",
    "",
    (
        Field("waiting", "waiting", COUNT),
        AT_LEAST,
        Field("byError", "by_error", each(DEAD_LETTERS_BY_ERROR), "Of those counted."),
    ),
)
INVARIANTS = Table("Invariants", "", (Field("violations", "violations", maybe(COUNT)), Field("at", "at", maybe(AT), "When that was.")))
NOT_NEGATIVE = Kind({"type": "number", "minimum": 0})
SAMPLE = Table(
    "Minute",
    "What happened in one minute, and what there was when it was sampled, soon after its end.",
    (
        Field("at", "at", AT, "When the minute began."),
        Field("ordersCreated", "orders_created", COUNT),
        Field("ordersCompleted", "orders_completed", COUNT),
        Field("ordersCancelled", "orders_cancelled", COUNT),
        Field("sagasEnded", "sagas_ended", COUNT),
        Field("stepsEnded", "steps_ended", COUNT, "Steps with a command, done, failed or undone."),
        Field("stepP50Ms", "step_p50_ms", maybe(COUNT), "From a step's first command until it was done or had failed."),
        Field("stepP99Ms", "step_p99_ms", maybe(COUNT)),
        Field("atLeast", "at_least", BOOLEAN, "More happened than a sample looks at."),
        Field("outboxAgeSeconds", "outbox_age_seconds", NOT_NEGATIVE),
        Field("deadLetters", "dead_letters", COUNT),
        Field("violations", "violations", COUNT),
    ),
)
BOARD = Table(
    "Board",
    "What is under way, as it is now, and what the last hour's minutes were like. It holds nothing that changes by itself.",
    (
        Field("orders", "orders", each(ORDERS_IN_STATUS), "In each status that is no end; up to 1,000 are counted."),
        Field("ended", "ended", each(ORDERS_ENDED), "Within the 24 hours up to the newest minute, as far as they were sampled."),
        Field("sagas", "sagas", each(SAGAS_IN_STATUS), "That have not ended; of each status up to 1,000 are counted."),
        Field("outbox", "outbox", part(WAITING_MESSAGES), "Messages that wait to be published."),
        Field("deadLetters", "dead_letters", part(WAITING_DEAD_LETTERS), "That wait to be redriven or dismissed."),
        Field("invariants", "invariants", part(INVARIANTS), "How many were found broken when the newest minute was sampled."),
        Field("minutes", "minutes", each(SAMPLE, maxItems=MINUTES), "Of the hour up to the newest one, oldest first, those sampled."),
        Field("development", "development", BOOLEAN, "Whether the service takes settings for development."),
        Field("version", "version", TEXT),
    ),
)


def read_board(session: sa.Connection) -> SimpleNamespace:
    """All of BOARD but what the code knows by itself; locks nothing."""
    found: SimpleNamespace = json.loads(
        session.execute(READ, PARAMETERS).scalar_one(), object_hook=lambda fields: SimpleNamespace(**fields)
    )
    return found

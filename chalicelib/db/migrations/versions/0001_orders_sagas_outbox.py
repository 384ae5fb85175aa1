"""Orders, sagas, history, outbox, dead letters."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE campusg.orders (
    order_id          uuid PRIMARY KEY,
    customer_id       text NOT NULL CHECK (length(customer_id) BETWEEN 1 AND 64),
    runner_id         text CHECK (length(runner_id) BETWEEN 1 AND 64),
    food_items        jsonb NOT NULL CHECK (jsonb_array_length(food_items) BETWEEN 1 AND 50),
    store_location    text NOT NULL CHECK (length(store_location) BETWEEN 1 AND 255),
    delivery_location text NOT NULL CHECK (length(delivery_location) BETWEEN 1 AND 255),
    food_fee          numeric(12,2) NOT NULL CHECK (food_fee > 0),
    delivery_fee      numeric(12,2) NOT NULL CHECK (delivery_fee BETWEEN 0 AND 99.99),
    total             numeric(12,2) NOT NULL CHECK (total = food_fee + delivery_fee AND total <= 9999.99),
    currency          text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    order_status      text NOT NULL CONSTRAINT order_status_known CHECK (order_status IN (
                          'CREATED', 'PENDING_PAYMENT', 'PAYMENT_AUTHORIZED', 'READY_FOR_PICKUP', 'ACCEPTED', 'COLLECTED',
                          'ON_THE_WAY', 'DELIVERED', 'COMPLETED', 'CANCELLED', 'TIMED_OUT')),
    payment_status    text NOT NULL CONSTRAINT payment_status_known CHECK (payment_status IN (
                          'PENDING', 'AUTHORIZED', 'CAPTURED', 'REFUNDED', 'RELEASED', 'FAILED')),
    payment_id        text CHECK (length(payment_id) BETWEEN 1 AND 128),
    escrow_id         text CHECK (length(escrow_id) BETWEEN 1 AND 128),
    accept_by         timestamptz,
    active_saga_id    uuid,
    cancel_reason     text CHECK (length(cancel_reason) <= 255),
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    accepted_at       timestamptz,
    collected_at      timestamptz,
    on_the_way_at     timestamptz,
    delivered_at      timestamptz,
    completed_at      timestamptz,
    cancelled_at      timestamptz,
    authorization_expired boolean NOT NULL DEFAULT false,
    version           integer NOT NULL CHECK (version >= 1),
    CONSTRAINT open_has_accept_by CHECK (order_status <> 'READY_FOR_PICKUP' OR accept_by IS NOT NULL),
    CONSTRAINT authorized_has_payment CHECK (payment_status IN ('PENDING', 'FAILED') OR payment_id IS NOT NULL),
    CONSTRAINT delivered_by_somebody CHECK (
        order_status NOT IN ('ACCEPTED', 'COLLECTED', 'ON_THE_WAY', 'DELIVERED', 'COMPLETED') OR runner_id IS NOT NULL)
);
CREATE INDEX orders_of_customer ON campusg.orders (customer_id, order_id DESC);
CREATE INDEX orders_of_runner ON campusg.orders (runner_id, order_id DESC) WHERE runner_id IS NOT NULL;
CREATE INDEX orders_by_status ON campusg.orders (order_status, order_id DESC);
CREATE INDEX orders_by_payment_status ON campusg.orders (payment_status, order_id DESC);
CREATE INDEX orders_by_creation ON campusg.orders (created_at);
CREATE INDEX orders_open ON campusg.orders (accept_by) WHERE order_status = 'READY_FOR_PICKUP' AND active_saga_id IS NULL;
CREATE INDEX orders_delivered ON campusg.orders (updated_at)
    WHERE order_status = 'DELIVERED' AND payment_status = 'AUTHORIZED' AND active_saga_id IS NULL;

CREATE TABLE campusg.sagas (
    saga_id            uuid PRIMARY KEY,
    order_id           uuid NOT NULL REFERENCES campusg.orders,
    name               text NOT NULL,
    definition_version integer NOT NULL CHECK (definition_version >= 1),
    status             text NOT NULL CONSTRAINT saga_status_known CHECK (status IN (
                           'RUNNING', 'COMPLETED', 'COMPENSATING', 'COMPENSATED', 'FAILED')),
    steps              jsonb NOT NULL,
    facts              jsonb NOT NULL,
    error              jsonb,
    awaited_id         text,
    pending            jsonb,
    due_at             timestamptz,
    setbacks           integer NOT NULL DEFAULT 0,
    correlation_id     text NOT NULL,
    traceparent        text,
    started_at         timestamptz NOT NULL,
    ended_at           timestamptz,
    CONSTRAINT ended_when_done CHECK ((status IN ('COMPLETED', 'COMPENSATED')) = (ended_at IS NOT NULL)),
    CONSTRAINT awaits_what_is_pending CHECK ((awaited_id IS NULL) = (pending IS NULL)),
    CONSTRAINT never_stuck CHECK (status NOT IN ('RUNNING', 'COMPENSATING') OR (awaited_id IS NOT NULL AND due_at IS NOT NULL))
);
CREATE UNIQUE INDEX sagas_one_at_a_time ON campusg.sagas (order_id) WHERE ended_at IS NULL;
CREATE INDEX sagas_of_order ON campusg.sagas (order_id, saga_id DESC);
CREATE INDEX sagas_due ON campusg.sagas (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX sagas_by_status ON campusg.sagas (status, saga_id DESC);
CREATE INDEX sagas_by_name ON campusg.sagas (name, saga_id DESC);
ALTER TABLE campusg.orders ADD CONSTRAINT held_by_a_saga FOREIGN KEY (active_saga_id) REFERENCES campusg.sagas
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE campusg.order_history (
    order_id     uuid NOT NULL REFERENCES campusg.orders,
    version      integer NOT NULL CHECK (version >= 1),
    at           timestamptz NOT NULL,
    event        text NOT NULL CONSTRAINT event_known CHECK (event IN (
                     'order.created', 'order.status_changed', 'order.payment_status_changed', 'order.updated')),
    status_from  text,
    status_to    text NOT NULL,
    payment_from text,
    payment_to   text NOT NULL,
    actor        text NOT NULL,
    saga_id      uuid,
    detail       jsonb NOT NULL,
    PRIMARY KEY (order_id, version)
);

CREATE TABLE campusg.outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ordering_key uuid NOT NULL,
    bucket       smallint NOT NULL,
    message_id   text NOT NULL,
    topic        text NOT NULL,
    key          bytea,
    value        bytea,
    headers      jsonb NOT NULL,
    not_before   timestamptz,
    failures     integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT bounded CHECK (coalesce(length(value), 0) + length(headers::text) <= 262144)
);
CREATE INDEX outbox_in_bucket ON campusg.outbox (bucket, id);
CREATE INDEX outbox_of_order ON campusg.outbox (ordering_key, id);
CREATE INDEX outbox_message ON campusg.outbox (message_id);
CREATE INDEX outbox_age ON campusg.outbox (created_at);

CREATE TABLE campusg.outbox_buckets (
    bucket       smallint PRIMARY KEY,
    holder       uuid,
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO campusg.outbox_buckets (bucket) SELECT generate_series(0, 63);

CREATE TABLE campusg.dead_letters (
    dead_letter_id  uuid PRIMARY KEY,
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    content_hash    bytea NOT NULL,
    key             bytea,
    value           bytea,
    headers         jsonb NOT NULL,
    type            text,
    order_id        uuid,
    saga_id         uuid,
    error_class     text NOT NULL,
    error           text NOT NULL,
    delivery_count  integer NOT NULL,
    at              timestamptz NOT NULL,
    redriven_at     timestamptz,
    UNIQUE (topic, partition, "offset", content_hash)
);
CREATE INDEX dead_letters_of_saga ON campusg.dead_letters (saga_id);

CREATE TABLE campusg.delivery_failures (
    topic        text NOT NULL,
    partition    integer NOT NULL,
    "offset"     bigint NOT NULL,
    content_hash bytea NOT NULL,
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset", content_hash)
);
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: released money and history don't fit into an older schema."""
    raise RuntimeError("the first revision can't be taken back")

"""The partners' own tables, in a schema of their own; nobody but `ledger` and `store` reads them."""

# One number for all partners processes: whoever makes the tables or works a batch holds this advisory lock for the transaction.
LOCK = 7_204_515_001

DDL = """
create schema if not exists partners;
create table if not exists partners.orders (
    order_id text primary key,
    payments_barred boolean not null,
    holds_barred boolean not null,
    unassigned_sagas text[] not null,
    last_message_at timestamptz not null default now()
);
create table if not exists partners.payments (
    payment_id text primary key,
    order_id text not null references partners.orders on delete cascade,
    customer_id text not null,
    amount numeric(12, 2) not null check (amount > 0),
    currency text not null,
    status text not null check (status in ('AUTHORIZED', 'CAPTURED', 'RELEASED', 'REFUNDED')),
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index if not exists payments_order_id on partners.payments (order_id);
create index if not exists payments_open on partners.payments (created_at) where status = 'AUTHORIZED';
create table if not exists partners.holds (
    escrow_id text primary key,
    order_id text not null references partners.orders on delete cascade,
    customer_id text not null,
    amount numeric(12, 2) not null check (amount > 0),
    currency text not null,
    status text not null check (status in ('HELD', 'RELEASED', 'REFUNDED')),
    runner_id text,
    payout_account_id text,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now()
);
create index if not exists holds_order_id on partners.holds (order_id);
create index if not exists holds_open on partners.holds (created_at) where status = 'HELD';
create table if not exists partners.answers (
    command_id text primary key,
    order_id text not null references partners.orders on delete cascade,
    type text not null,
    reply jsonb,
    answered_at timestamptz not null default now()
);
create index if not exists answers_order_id on partners.answers (order_id);
create table if not exists partners.notifications (
    command_id text primary key,
    order_id text not null references partners.orders on delete cascade,
    recipient_id text not null,
    recipient_type text not null,
    notification_type text not null,
    title text not null,
    message text not null,
    sent_at timestamptz not null default now()
);
create index if not exists notifications_order_id on partners.notifications (order_id);
"""

"""The simulated partners: user, payment, escrow and notification service in one process that speaks Kafka only.

They keep the partners' side of the contract: a repeated command gets the very same reply and its work is done once, an undo has no refusal,
and what an undo came before is refused. `decisions` says what a command does, `batch` does it for a poll's commands, `store` keeps the
ledger in the schema `partners`, `service` moves messages, `ledger` reads the books from outside.
"""

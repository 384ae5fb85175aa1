"""Partners that refuse what the simulated ones always do: a file says which commands of which orders, for as long as it does."""

from pathlib import Path
from typing import Any

from chalicelib.messages import commands, replies
from infra.partners import decisions
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, Decision

REFUSALS: dict[str, tuple[type[commands.Command], Any]] = {
    "payment.capture": (commands.CapturePayment, replies.PaymentCaptureFailed),
    "escrow.release": (commands.ReleaseEscrow, replies.EscrowReleaseFailed),
}


def _file(folder: Path) -> Path:
    return folder / "refused"


def refuse(folder: Path, type: str, order_id: str) -> None:
    """Have the partners of that folder's lane refuse this command of this order from now on."""
    with _file(folder).open("a") as file:
        file.write(f"{type} {order_id}\n")


def refuse_nothing(folder: Path) -> None:
    """Have them refuse nothing any more."""
    _file(folder).write_text("")


def unwilling_partners(folder: Path) -> None:
    """Have partners in this process, and in those forked from it, look into the file."""
    refuse_nothing(folder)
    for type, (command, refusal) in REFUSALS.items():
        decisions.DECISIONS[command] = _looking(folder, type, refusal, decisions.DECISIONS[command])


def _looking(folder: Path, type: str, refusal: Any, willing: Any) -> Any:
    def decide(account: Account, command: Any, attempt: Attempt) -> Decision:
        if f"{type} {account.order_id}" in _file(folder).read_text().splitlines():
            return Decision(account, refusal(order_id=account.order_id, reason="refused"))
        decision: Decision = willing(account, command, attempt)
        return decision

    return decide

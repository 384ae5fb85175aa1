"""What the clock calls."""

from chalicelib.runtime import runtime


def sweep_timeouts() -> None:
    """Handle every saga whose command was waited for long enough."""
    runtime().sweeper.sweep()


def relay_outbox() -> None:
    """Publish what the invocations that wrote it could not."""
    runtime().publisher.relay()

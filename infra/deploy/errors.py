"""What ends a deployment."""

from infra.stack.process import ServerError


class DeployError(ServerError):
    """It can't go on; the message says why, and what to do."""

"""The batching window: how long a batch that is not full waits for more records."""

# What is found so soon after an invocation was there already.
LOOK_SECONDS = 0.2


class Window:
    """Begins when the first record comes, or as far back as the last restart if that record was there already. Times are monotonic.

    What restarts it is the guide's ("How Lambda processes records from stream and queue-based event sources"): in provisioned mode the
    completion of the previous batch, on demand that of its invocation.
    """

    def __init__(self, seconds: float, *, is_provisioned: bool) -> None:
        """Nothing was delivered yet."""
        self._seconds = seconds
        self._is_provisioned = is_provisioned
        self._batch_completed = -LOOK_SECONDS
        self._invocation_completed = -LOOK_SECONDS
        self.ends = 0.0

    def batch_completed(self, now: float) -> None:
        """A batch is complete, and about to be invoked."""
        self._batch_completed = now

    def invocation_completed(self, now: float) -> None:
        """Its invocation came back."""
        self._invocation_completed = now

    def begin(self, now: float) -> None:
        """The first record of a batch was found."""
        begins = now
        if now - self._invocation_completed <= LOOK_SECONDS:
            begins = self._batch_completed if self._is_provisioned else self._invocation_completed
        self.ends = begins + self._seconds

"""The log of a part: what its processes print, kept in a file that is put aside when it has grown enough."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 10 * 1024 * 1024
CHUNK = 64 * 1024


class LogFile:
    """Takes what processes write to pipes; the newest `most_bytes`, or a little more, are in the file, as many older ones in `….log.1`.

    A line is never cut in two unless it is longer than that. The file is renamed, so `tail -F` goes on with the new one. Where it can't be
    written, as on a full disk, what comes is dropped: the processes must not wait for it.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Appends to a file that is there already."""
        self.path = path
        self._most_bytes = most_bytes
        self._older = path.with_name(f"{path.name}.1")
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []

    def open(self) -> int:
        """The descriptor of a new pipe to the file; the caller hands it to a process and closes it."""
        self.path.touch()
        reading, writing = os.pipe()
        reader = threading.Thread(target=self._copy, args=(reading,), name=f"log-{self.path.stem}", daemon=True)
        self._readers = [each for each in self._readers if each.is_alive()] + [reader]
        reader.start()
        return writing

    def settle(self, patience_seconds: float) -> None:
        """Wait until all that was written by processes which have ended is in the file."""
        deadline = time.monotonic() + patience_seconds
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _copy(self, pipe: int) -> None:
        with open(pipe, "rb", buffering=0) as source:
            while chunk := source.read(CHUNK):
                with self._lock, suppress(OSError):
                    self._write(chunk)

    def _write(self, data: bytes) -> None:
        while data:
            size = self.path.stat().st_size if self.path.exists() else 0
            room = max(0, self._most_bytes - size)
            end = len(data) if len(data) <= room else data.rfind(b"\n", 0, room) + 1 or data.find(b"\n") + 1 or len(data)
            with self.path.open("ab") as file:
                file.write(data[:end])
            is_line, data, size = data[:end].endswith(b"\n"), data[end:], size + end
            if data or (size >= self._most_bytes and (is_line or size > 2 * self._most_bytes)):
                self.path.replace(self._older)

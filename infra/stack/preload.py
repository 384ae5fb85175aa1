"""The process that has imported what the parts written in Python need, and forks them: `python -m infra.stack.preload`.

Importing takes far longer than all else that a part does before it is at work, and would be paid at each restart.
"""

import argparse
import ctypes
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.esm.forks import Job, exit_after, serve_jobs
from infra.stack.ready import announce

ROOT = Path(__file__).resolve().parents[2]
PR_SET_NAME = 15
# Module with `main` for each part.
PARTS: Mapping[str, str] = {
    "infra.gateway": "infra.gateway.__main__",
    "infra.partners": "infra.partners.__main__",
    "infra.stack.triggers": "infra.stack.triggers",
}
# Imported by the parts on first use.
MORE = ("app", "chalice.cli.factory", "kafka", "_strptime")

Stamps = Mapping[Path, int]


def main() -> None:
    """Import everything, say so, and fork parts until the other side is gone."""
    options = _options()
    exit_after(lambda: _serve(socket.socket(fileno=options.connection)))


def _serve(connection: socket.socket) -> None:
    connection.set_inheritable(False)
    for module in (*PARTS.values(), *MORE):
        importlib.import_module(module)
    stamps = dict(_stamps())
    gc.collect()
    gc.freeze()
    announce()
    serve_jobs(connection, lambda job: _become(job, stamps))


def _become(job: Job, stamps: Stamps) -> None:
    """Run a part in this process, which was forked for it. What was changed since it was imported is imported anew."""
    output, ready, *_ = job.descriptors
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(job.request["environment"], READY_FD=str(ready))
    arguments = job.request["arguments"]
    if dict(_stamps()) != stamps:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.set_inheritable(ready, True)
        os.execv(arguments[0], arguments)  # noqa: S606 - a shell would only stand between
    module = arguments[-1]
    _name_process(module.rpartition(".")[2])
    sys.argv = [module]
    importlib.import_module(PARTS[module]).main()


def _stamps() -> Iterator[tuple[Path, int]]:
    """Every file of this project that was imported, and when it was changed last."""
    for module in list(sys.modules.values()):
        path = Path(getattr(module, "__file__", None) or "/")
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            yield path, path.stat().st_mtime_ns if path.exists() else 0


def _name_process(name: str) -> None:
    """Name this process for `ps` and `top`, which know it by its parent's command line otherwise."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="preload")
    parser.add_argument("--connection", type=int, required=True, help="descriptor of the socket on which parts are asked for")
    # Ignored: they name the parts to whoever lists processes.
    parser.add_argument("part", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    main()

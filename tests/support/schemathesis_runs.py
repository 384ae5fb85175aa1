"""Runs schemathesis several times from one import of it: python -m tests.support.schemathesis_runs, with the runs as JSON in stdin.

Importing takes more processor time than a small run. Prints each run's exit code and output as a line of JSON, in their order.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from schemathesis.cli import schemathesis

from infra.esm.forks import die_with_parent

# Imported by the tool on first use, and by the hooks of ours, which read their environment when they are imported.
PRELOADED = ("schemathesis.specs.openapi.schemas", "chalicelib.orders.pricing", "infra.documents.openapi.parameters", "tests.support.words")
OUTPUT = "output.txt"


def main() -> None:
    """Fork a process for each of `[{"folder", "arguments", "environment"}, …]`, all at the same time."""
    for module in PRELOADED:
        importlib.import_module(module)
    runs = json.load(sys.stdin)
    own = os.getpid()
    pids = [os.fork() or _run(own, **run) for run in runs]
    for pid, run in zip(pids, runs, strict=True):
        _, status = os.waitpid(pid, 0)
        output = (Path(run["folder"]) / OUTPUT).read_text()
        sys.stdout.write(json.dumps({"exit_code": os.waitstatus_to_exitcode(status), "output": output}) + "\n")
        sys.stdout.flush()


def _run(parent: int, folder: str, arguments: Sequence[str], environment: dict[str, Any]) -> NoReturn:
    """Run the tool in this process, with its working directory and its output in `folder`."""
    die_with_parent(parent)
    os.chdir(folder)
    os.environ.update(environment)
    with Path(OUTPUT).open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(1, 2)
    schemathesis(arguments)
    sys.exit(1)


if __name__ == "__main__":
    main()

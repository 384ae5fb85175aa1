"""Runs the checkers on both stacks, and on both with deliberate faults in them."""

import copy
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from infra.aws import chalice_project, data
from infra.aws.check.faults import FAULTS, Fault, put
from infra.aws.intrinsics import Value
from infra.console import complain, say

CHECKERS = Path(__file__).parent / "checkers.py"
PYTHON = Path(__file__).resolve().parents[3] / ".tools" / "infra-check" / "bin" / "python"
FAULTY = "-with-faults.json"


class CheckError(Exception):
    """The checkers could not be run; the message is theirs."""


def main() -> int:
    """Say what the checkers find; return the exit code: 1 where they find something, or miss a deliberate fault."""
    begun = time.monotonic()
    say("checking two stacks, and both with deliberate faults in them")
    findings, missed = check({"service": chalice_project.template(), "data": data.template()})
    for finding in findings:
        complain(finding)
    for fault in missed:
        complain(f"nobody noticed: {fault.sentence}")
    say(
        f"{len(findings)} findings in two stacks, {len(FAULTS) - len(missed)} of {len(FAULTS)} deliberate faults noticed,"
        f" in {time.monotonic() - begun:.0f} s"
    )
    return 1 if findings or missed else 0


def check(stacks: dict[str, Value]) -> tuple[list[str], list[Fault]]:
    """What is found in these stacks, and which deliberate faults would not be."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, template in stacks.items():
            (folder / f"{name}.json").write_text(json.dumps(template), encoding="utf-8")
            (folder / f"{name}{FAULTY}").write_text(json.dumps(_with_faults(name, template)), encoding="utf-8")
        run = subprocess.run([PYTHON, "-I", CHECKERS, folder], capture_output=True, text=True, check=False)
    if run.returncode:
        raise CheckError(run.stderr)
    noticed: defaultdict[str, set[str]] = defaultdict(set)
    findings = []
    for file, resource, sentence in json.loads(run.stdout):
        name = file.partition(",")[0]
        if name.endswith(FAULTY):
            noticed[name.removesuffix(FAULTY)].add(resource)
        else:
            findings.append(f"{file}: {resource}: {sentence}")
    return findings, [fault for fault in FAULTS if noticed[fault.stack].isdisjoint({fault.resource, fault.seen_at} - {""})]


def _with_faults(name: str, template: Value) -> Value:
    faulty = copy.deepcopy(template)
    for fault in FAULTS:
        if fault.stack == name:
            put(faulty, fault)
    return faulty

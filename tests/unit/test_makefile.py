"""`make help` lists what there is, and every command can be reached by make."""

import re
import subprocess
from pathlib import Path

from infra.aws.__main__ import COMMANDS as AWS
from infra.deploy.__main__ import COMMANDS as DEPLOY
from infra.operator.__main__ import COMMANDS as OPERATOR
from infra.stack.__main__ import COMMANDS as STACK

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_help_lists_every_target() -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    printed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert sorted(line.split()[1] for line in printed.stdout.splitlines()) == sorted(targets.split())


def test_every_command_has_a_target_of_its_name() -> None:
    for package, commands in {"aws": AWS, "deploy": DEPLOY, "stack": STACK, "operator": OPERATOR}.items():
        assert set(re.findall(rf"^([a-z-]+): .*\n\t@\$\(PY\) -m infra\.{package} \1$", MAKEFILE, re.MULTILINE)) == set(commands)

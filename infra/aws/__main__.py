"""The commands for AWS behind the Makefile: `python -m infra.aws COMMAND`."""

import sys

from infra.aws import package
from infra.commands import run_command

COMMANDS = {"package": package.main}

if __name__ == "__main__":
    sys.exit(run_command("infra.aws", COMMANDS))

"""The commands for AWS behind the Makefile: `python -m infra.aws COMMAND`."""

import sys

from infra.aws import package
from infra.aws.check import command
from infra.commands import run_command

COMMANDS = {"package": package.main, "infra-check": command.main}

if __name__ == "__main__":
    sys.exit(run_command("infra.aws", COMMANDS))

"""The commands behind the Makefile: `python -m infra.deploy deploy` and `undeploy`."""

import sys

from infra.commands import run_command
from infra.deploy.command import deploy, undeploy

COMMANDS = {"deploy": deploy, "undeploy": undeploy}

if __name__ == "__main__":
    sys.exit(run_command("infra.deploy", COMMANDS))

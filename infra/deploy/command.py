"""The commands `make deploy` and `make undeploy`, for the stage that STAGE names."""

import os
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from infra.aws import package, stages
from infra.console import complain
from infra.deploy import amazon, home
from infra.deploy.errors import DeployError
from infra.deploy.release import STAGE as HOME
from infra.stack.process import ServerError


def deploy() -> int:
    """Deploy the package that `make package` has made; return the exit code."""
    parameters = os.environ.get("PARAMETERS", "")

    def to_aws(stage: str) -> None:
        account = amazon.Account(amazon.open_session(), stage)
        bucket, migrates = os.environ.get("BUCKET", ""), os.environ.get("MIGRATE") != "0"
        wishes = amazon.Wishes(parameters, bucket, roles=_is_set("ROLES"), migrate=migrates, replace=_is_set("REPLACE"))
        account.deploy(package.FOLDER, wishes)

    return _run("deploy", lambda: home.deploy(package.FOLDER, parameters), to_aws)


def undeploy() -> int:
    """Delete what `make deploy` has made; return the exit code."""
    return _run("undeploy", home.undeploy, lambda stage: amazon.Account(amazon.open_session(), stage).undeploy(data=_is_set("DATA")))


def _run(command: str, at_home: Callable[[], None], on_aws: Callable[[str], None]) -> int:
    stage = os.environ.get("STAGE", "")
    try:
        if stage == HOME:
            at_home()
        elif stage in stages.STAGES:
            on_aws(stage)
        else:
            raise DeployError(f"STAGE must be one of {', '.join((HOME, *stages.STAGES))}" + (f", not {stage!r}" if stage else ""))
    except ServerError as error:
        complain(*f"make {command}: {error}".split("\n"))
        return 1
    except ClientError as error:
        what = error.response["Error"]
        complain(f"make {command}: AWS refuses {error.operation_name}: {what.get('Message') or what.get('Code')}")
        return 1
    except BotoCoreError as error:
        complain(f"make {command}: AWS can't be asked: {error}")
        return 1
    return 0


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")

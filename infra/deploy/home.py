"""`make deploy STAGE=home` and `make undeploy STAGE=home`: AWS on this machine, in the background."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infra.console import say
from infra.deploy import supervise
from infra.deploy.errors import DeployError
from infra.deploy.ministack import MiniStack, client, require_program
from infra.deploy.package import Package
from infra.deploy.parameters import read_parameters
from infra.deploy.place import Place
from infra.deploy.release import STACK, Release
from infra.deploy.stacks import Stacks
from infra.stack.devkeys import requested_token
from infra.stack.files import make_private_folder
from infra.stack.keeper import ROOT
from infra.stack.run import SAMPLE_ORDER, console_link, stop
from infra.stack.runfile import holder
from infra.stack.running import NotRunningError, run_info
from infra.stack.settings import data_dir

LOOK_SECONDS = 0.1


def deploy(package_folder: Path, parameters: str) -> None:
    """Deploy the package, to the deployment of DATA_DIR if it runs, and say where the API is; raises DeployError."""
    require_program()
    place = Place(data_dir())
    package = Package.in_folder(package_folder)
    given = place.parameters() | read_parameters(parameters, package.service)
    pid = holder(place.data_dir)
    if pid is None:
        _start(place, package, given)
    elif place.folder.exists():
        try:
            triggers = run_info(place.data_dir)["triggers"]["pid"]
        except NotRunningError as error:
            raise DeployError(f"{error}; wait until it is, or end it by `make undeploy STAGE=home`") from error
        _update(place, package, given, triggers)
    else:
        raise DeployError(f"DATA_DIR {place.data_dir}: `make run` runs on it, pid {pid}; end that by `make stop`, or name another DATA_DIR")
    _welcome(place)


def undeploy() -> None:
    """Delete the stack, end the deployment of DATA_DIR and remove its data; raises DeployError."""
    place = Place(data_dir())
    if not place.folder.exists():
        say(f"nothing is deployed on {place.data_dir}")
        return
    if holder(place.data_dir) is not None:
        try:
            Stacks(client("cloudformation", _ministack(place).endpoint)).delete(STACK)
        except (ClientError, BotoCoreError, DeployError) as error:
            say(f"the stack is not deleted, but gone with its emulator: {error}")
        if stop():
            raise DeployError("the deployment has not ended")
    place.clear()
    say(f"{place.folder} is removed, and all data of the deployment with it")


def _start(place: Place, package: Package, parameters: Mapping[str, str]) -> None:
    """Start the supervisor, which deploys, and show what it says until all is at work."""
    make_private_folder(place.folder)
    place.keep(package, parameters)
    with place.log.open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", supervise.__name__],
            cwd=ROOT,
            env={**os.environ, "DATA_DIR": str(place.data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _follow(place, supervisor)
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise


def _follow(place: Place, supervisor: "subprocess.Popen[bytes]") -> None:
    with place.log.open(encoding="utf-8", errors="replace") as log:
        while True:
            # Looked at before the log is read, so that nothing said until then is missed.
            has_ended, is_at_work = supervisor.poll() is not None, (place.data_dir / "run.json").exists()
            for line in log.read().splitlines():
                say(line)
            if has_ended:
                raise DeployError(f"the deployment could not be started; its logs are in {place.data_dir / 'logs'}")
            if is_at_work:
                return
            time.sleep(LOOK_SECONDS)


def _update(place: Place, package: Package, parameters: Mapping[str, str], triggers: int) -> None:
    """Change what runs; where the mappings have changed, whoever polls them is started anew."""
    polled = place.mappings_file.read_bytes()
    servers = place.servers()
    ministack = _ministack(place)
    release = Release(ministack, package, {**servers["parameters"], **parameters}, place.mappings_file)
    api = release.apply()
    if api is None:
        return
    release.wait(api)
    place.keep(package, parameters)
    if place.mappings_file.read_bytes() != polled:
        os.kill(triggers, signal.SIGTERM)


def _ministack(place: Place) -> MiniStack:
    return MiniStack(place.emulator_folder, place.servers()["port"])


def _welcome(place: Place) -> None:
    info = run_info(place.data_dir)
    url = info["http"]["url"]
    token = requested_token(place.data_dir, "customer", "cust_1")
    text = f"""
the service is deployed, in the background (`make undeploy STAGE=home` ends it)

  console    {console_link(url, place.data_dir)}
  API        {url}
  AWS        {_ministack(place).endpoint}
  Kafka      {info["kafka"]["bootstrap"]}
  data       {place.folder}
  logs       {place.data_dir / "logs"}

Place an order:

curl -sS -X POST '{url}/api/orders' -H 'Prefer: wait=10' -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer {token}' \\
  -d {shlex.quote(SAMPLE_ORDER)}
"""
    say(*text.split("\n"))

"""`make deploy STAGE=home`: the package of `make package` on MiniStack, one deployment for all tests of this file, in their order.

What is AWS's here: CloudFormation with SAM, S3, Lambda's Invoke, API Gateway with its authorizer, EventBridge's schedules. PostgreSQL and
broker are real ones beside it, the emulator of the event source mapping polls. Where MiniStack differs from AWS a test says how.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from infra.deploy import home
from infra.deploy.errors import DeployError
from infra.deploy.ministack import client
from infra.deploy.package import DATA, SERVICE, Package
from infra.deploy.release import BUCKET
from infra.deploy.stacks import Stacks
from infra.stack.ports import accepts, free_port
from infra.stack.runfile import holder
from infra.stack.running import run_info
from infra.stack.stories import Api
from tests.support.auditing import assert_no_violations
from tests.support.browser import Visit, chromium, expect
from tests.support.deployment import changed_package, current_package, deploy_command, processes_of
from tests.support.eventually import eventually
from tests.support.stack import is_running, local_command

# The first of them makes the package, which fetches what goes into it, and deploys it.
pytestmark = [pytest.mark.tool("ministack"), pytest.mark.timeout(300)]

# Longer than the demo waits for a partner who stays silent; once is enough, as the clock comes by each minute.
SETTINGS = "StepTimeoutSeconds=21 StepMaxAttempts=1"


@dataclass(frozen=True)
class Deployed:
    """A deployment, and what `make deploy` said of it."""

    data_dir: Path
    port: int
    said: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def info(self) -> Any:
        return run_info(self.data_dir)

    @property
    def url(self) -> str:
        return str(self.info["http"]["url"])

    def api(self) -> Api:
        return Api(self.url, self.data_dir, time.monotonic() + 120)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    current_package()
    data_dir, port = tmp_path_factory.mktemp("deployment") / "data", free_port()
    done = deploy_command("deploy", data_dir, HTTP_PORT=port, PARAMETERS=SETTINGS)
    try:
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        yield Deployed(data_dir, port, done.stdout)
    finally:
        deploy_command("undeploy", data_dir)


@pytest.fixture(scope="module")
def silent(deployed: Deployed) -> str:
    """The id of an order whose bank never answers: only the clock can end it."""
    return deployed.api().place("silent_sven", 202, wait=False)


def test_the_curl_that_is_printed_places_an_order(deployed: Deployed, silent: str) -> None:
    assert re.search(r"stack campusg-orders-home-service will be made:\n(  add \d+ AWS::.*\n)+", deployed.said)
    assert "  add 10 AWS::Lambda::Function: " in deployed.said
    assert "  CREATE_COMPLETE AWS::Lambda::EventSourceMapping OnUserEventsMapping\n" in deployed.said
    command = deployed.said[deployed.said.index("curl -sS") :]

    answer = subprocess.run(["bash", "-c", f"{command.strip()} --write-out '%{{http_code}}'"], capture_output=True, text=True, check=True)

    assert answer.stdout.endswith("201")
    assert '"orderStatus": "READY_FOR_PICKUP"' in answer.stdout


def test_an_order_goes_through_its_whole_life_and_others_through_theirs(deployed: Deployed) -> None:
    shown = local_command("demo", deployed.data_dir)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "every order ended as it should" in shown.stdout
    assert "left out: the bank stays silent, CANCELLED after 21 s" in shown.stdout
    audited = local_command("audit", deployed.data_dir)
    assert (audited.returncode, audited.stdout) == (0, "no violations: orders, sagas, outbox, history and money agree\n"), audited.stderr


def test_what_the_api_has_no_route_for_is_answered_by_the_application(deployed: Deployed) -> None:
    unknown, wrong = requests.get(f"{deployed.url}/nowhere", timeout=30), requests.put(f"{deployed.url}/api/orders", timeout=30)

    assert (unknown.status_code, unknown.json()["type"].rpartition("/")[2]) == (404, "not-found")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, OPTIONS, POST")


def test_the_console_is_served_below_the_stage_s_path_and_its_files_by_addresses_relative_to_it(deployed: Deployed) -> None:
    page = requests.get(f"{deployed.url}/console", timeout=30)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    linked = re.findall(r'(?:src|href)="(console/[^"]+)"', page.text)
    assert {"console/app.js", "console/style.css"} <= {*linked}
    for address in linked:
        file = requests.get(f"{deployed.url}/{address}", timeout=30)
        again = requests.get(f"{deployed.url}/{address}", headers={"If-None-Match": file.headers["ETag"]}, timeout=30)
        assert (file.status_code, again.status_code, again.text) == (200, 304, ""), address
    root = requests.get(f"{deployed.url}/", timeout=30)
    assert ([each.status_code for each in root.history], root.url) == ([303], f"{deployed.url}/console")


@pytest.mark.tool("browser")
def test_the_link_that_is_printed_shows_the_board_and_an_order_can_be_tried(deployed: Deployed) -> None:
    link = re.search(r"^  console +(\S+)$", deployed.said, re.MULTILINE)
    assert link is not None
    with chromium() as browser:
        visit = Visit.begin(browser, deployed.endpoint)
        page = visit.page(link[1])
        expect(page.get_by_role("link", name=re.compile(r"^[1-9]\d* orders READY_FOR_PICKUP$"))).to_be_visible()
        page.get_by_role("link", name="Try it").click()
        page.get_by_role("button", name="Place an order").click()
        expect(page.get_by_role("region", name=re.compile("^The customer"))).to_contain_text("READY_FOR_PICKUP")

    assert (visit.foreign, visit.complaints) == ([], [])


def test_where_ministack_is_not_aws(deployed: Deployed, tmp_path: Path) -> None:
    refused = requests.get(f"{deployed.url}/api/orders", timeout=30)
    # On AWS the template's gateway response words it as a problem; MiniStack has words of its own.
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized"})

    mappings = client("lambda", deployed.endpoint).list_event_source_mappings()["EventSourceMappings"]
    # On AWS Lambda polls for them. MiniStack keeps them without their topics and polls nothing: the emulator does, all the demo through.
    assert len(mappings) == 3
    assert {(mapping.get("Topics"), mapping["LastProcessingResult"]) for mapping in mappings} == {(None, "No records processed")}

    package = Package.in_folder(current_package())
    client("s3", deployed.endpoint).upload_file(str(package.folder / DATA), BUCKET, DATA)
    stacks = Stacks(client("cloudformation", deployed.endpoint))
    # On AWS the data stack makes them. MiniStack knows neither RDS Proxy nor MSK, and refuses before it makes anything.
    with pytest.raises(Exception, match=r"AWS::(RDS::DBProxy|MSK::)"):
        stacks.apply("campusg-orders-home-data", package.data, f"{deployed.endpoint}/{BUCKET}/{DATA}", {"Stage": "home"})


def test_a_changed_function_is_deployed_and_the_same_one_is_not(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(deployed.data_dir))
    url, poller = deployed.url, deployed.info["triggers"]["pid"]
    changed = changed_package(tmp_path, "chalicelib/entrypoints/health.py", '"ok"', '"changed"')
    template = (changed / SERVICE).read_text()
    (changed / SERVICE).write_text(template.replace('"BatchSize": 500', '"BatchSize": 400'))

    home.deploy(changed, "")

    said = capsys.readouterr().out
    assert "  change 10 AWS::Lambda::Function: " in said
    assert "  change 3 AWS::Lambda::EventSourceMapping: " in said
    assert deployed.url == url
    assert requests.get(f"{url}/health", timeout=30).json()["status"] == "changed"
    eventually(lambda: deployed.info["triggers"]["pid"] != poller, what="a poller of the changed mappings")
    home.deploy(changed, "")
    assert "stack campusg-orders-home-service: nothing to change\n" in capsys.readouterr().out
    with pytest.raises(DeployError, match="RequestsAtOnce"):
        home.deploy(changed, "RequestsAtOnce=0")
    assert requests.get(f"{url}/health", timeout=30).json()["status"] == "changed"


def test_a_release_that_fails_is_put_back_and_says_why(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(deployed.data_dir))
    broken = changed_package(tmp_path, "chalicelib/entrypoints/health.py", '"ok"', '"broken"')
    template = json.loads((broken / SERVICE).read_text())
    template["Resources"]["TokenAuth"]["Properties"]["CodeUri"]["Key"] = "nothing.zip"
    (broken / SERVICE).write_text(json.dumps(template))

    with pytest.raises(
        DeployError, match=r"has ended as UPDATE_ROLLBACK_COMPLETE; the first failure: TokenAuth \(AWS::Lambda::Function\): "
    ):
        home.deploy(broken, "")

    assert "  UPDATE_FAILED AWS::Lambda::Function TokenAuth: " in capsys.readouterr().out
    assert requests.get(f"{deployed.url}/health", timeout=30).json()["status"] == "changed"


def test_the_clock_ends_what_nobody_answers(deployed: Deployed, silent: str) -> None:
    eventually(lambda: deployed.api().order(silent)["orderStatus"] == "CANCELLED", within=75, what="the end of a silent bank's order")

    assert_no_violations(deployed.info["postgres"]["url"])


def test_an_emulator_that_is_killed_comes_back_with_what_was_deployed_last(deployed: Deployed) -> None:
    os.kill(deployed.info["http"]["pid"], signal.SIGKILL)
    killed = deployed.info["http"]["pid"]

    eventually(lambda: deployed.info["http"]["pid"] != killed, within=60, what="the return of MiniStack")

    assert requests.get(f"{deployed.url}/health", timeout=30).json()["status"] == "changed"


def test_nothing_is_left_of_it(deployed: Deployed) -> None:
    supervisor = holder(deployed.data_dir)
    assert supervisor is not None
    pids = [child.pid for child in psutil.Process(supervisor).children(recursive=True)]
    assert len(pids) > 10

    done = deploy_command("undeploy", deployed.data_dir)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "  DELETE_COMPLETE AWS::Lambda::Function OnUserEvents\n" in done.stdout
    assert [pid for pid in (*pids, supervisor) if is_running(pid)] == []
    assert processes_of(deployed.data_dir) == []
    assert not accepts("127.0.0.1", deployed.port)
    assert not deployed.data_dir.exists()
    again = deploy_command("undeploy", deployed.data_dir)
    assert (again.returncode, again.stdout) == (0, f"nothing is deployed on {deployed.data_dir}\n")

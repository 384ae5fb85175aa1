"""How a stack starts, what it tells others, and how it ends."""

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from infra.stack.broker import check_reachable
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker
from tests.support.stack import PARTS, ROOT, Stack, is_running, local_command


@pytest.mark.embedded("it looks at the embedded servers' processes and files")
def test_run_json_names_every_part_and_only_its_owner_may_read_it(stack: Stack) -> None:
    run = stack.run_json()

    assert sorted(run) == sorted(PARTS)
    assert stat.S_IMODE((stack.data_dir / "run.json").stat().st_mode) == 0o600
    assert all(is_running(pid) for pid in stack.pids())
    assert len(set(stack.pids())) == len(PARTS)
    check_reachable(run["kafka"]["bootstrap"])
    assert requests.get(f"{run['http']['url']}/health", timeout=5).json()["status"] == "ok"
    engine = create_engine(run["postgres"]["url"])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM campusg.orders")).scalar_one() >= 0
    engine.dispose()


@pytest.mark.embedded("it looks at the embedded servers' processes and files")
def test_each_pid_is_that_of_the_process_that_does_the_work(stack: Stack) -> None:
    for part, sign in {"postgres": "postgres", "kafka": "noida-db", "triggers": "infra.stack.triggers"}.items():
        assert any(sign in word for word in psutil.Process(stack.pid(part)).cmdline())


@pytest.mark.embedded("it looks at the embedded servers' processes and files")
def test_the_data_folder_is_closed_to_others(stack: Stack) -> None:
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700
    for secret in ("jwt-key.pem", "postgres-password"):
        assert stat.S_IMODE((stack.data_dir / secret).stat().st_mode) == 0o600


def test_a_second_stack_on_the_same_folder_is_refused_by_folder_and_pid(stack: Stack) -> None:
    second = local_command("run", stack.data_dir)

    assert second.returncode == 1
    assert str(stack.data_dir) in second.stderr
    assert str(stack.process.pid) in second.stderr
    assert all(is_running(pid) for pid in stack.pids())


def test_the_printed_curl_places_an_order(stack: Stack) -> None:
    # Behind it may stand what has become of the parts since.
    command = stack.said().partition("Place an order:")[2].strip().partition("\n\n")[0]

    answer = subprocess.run(["bash", "-c", f"{command} -w '\n%{{http_code}}'"], text=True, capture_output=True, check=True, timeout=30)

    assert answer.stdout.splitlines()[-1] == "201"
    assert '"READY_FOR_PICKUP"' in answer.stdout


def test_the_printed_link_leads_to_the_console_with_an_admins_token(stack: Stack) -> None:
    page, _, token = re.search(r"^ +console +(\S+)$", stack.said(), re.MULTILINE)[1].partition("#token=")

    assert page == f"{stack.url}/console"
    assert '<div id="console">' in requests.get(page, timeout=5).text
    assert requests.get(f"{stack.url}/api/sagas", headers={"Authorization": f"Bearer {token}"}, timeout=5).status_code == 200


def test_env_prints_variables_with_which_a_shell_reaches_the_database(stack: Stack) -> None:
    printed = local_command("env", stack.data_dir).stdout

    shown = subprocess.run(
        ["bash", "-c", f"{printed}\nprintenv DATABASE_URL KAFKA_BROKERS STEP_TIMEOUT_SECONDS"], text=True, capture_output=True
    )

    run = stack.run_json()
    assert shown.stdout.split() == [run["postgres"]["url"], run["kafka"]["bootstrap"], "1"]


def test_a_killed_supervisor_takes_its_servers_along_and_a_second_stack_finds_the_rows_and_ends_by_a_signal(tmp_path: Path) -> None:
    killed = Stack.start(tmp_path / "data")
    order = _place_order(killed)
    pids = killed.tree()

    killed.process.kill()

    killed.process.wait(5)
    eventually(lambda: not any(is_running(pid) for pid in pids), what="the end of the servers")
    second = Stack.start(tmp_path / "data")
    found = requests.get(f"{second.url}/api/orders/{order}", headers=_as_admin(second), timeout=5)
    assert found.json()["orderId"] == order
    pids = second.tree()

    second.process.send_signal(signal.SIGINT)

    assert second.process.wait(15) == 0
    assert not any(is_running(pid) for pid in pids)
    assert not (second.data_dir / "run.json").exists()


def test_parts_that_do_not_react_are_ended_all_the_same_and_at_once_by_a_second_signal(tmp_path: Path) -> None:
    running = Stack.start(tmp_path / "data")
    pids = running.tree()
    for part in ("http", "triggers", "partners"):
        os.kill(running.pid(part), signal.SIGSTOP)

    running.process.send_signal(signal.SIGINT)
    eventually(lambda: "ending the stack" in running.said())
    begun = time.monotonic()
    running.process.send_signal(signal.SIGINT)

    assert running.process.wait(15) == 0
    assert time.monotonic() - begun < 4
    assert not any(is_running(pid) for pid in pids)


def test_stop_ends_the_stack_and_without_one_says_so(tmp_path: Path) -> None:
    running = Stack.start(tmp_path / "data", PARTNERS="none")
    assert running.run_json()["partners"] is None
    pids = running.tree()

    stopped = local_command("stop", running.data_dir)

    assert stopped.returncode == 0
    assert running.process.wait(5) == 0
    assert not any(is_running(pid) for pid in pids)
    again = local_command("stop", running.data_dir)
    assert again.returncode == 0
    assert "no stack runs" in again.stdout


def test_make_hands_variables_on_and_a_signal_sent_to_make_ends_the_stack(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    output = (tmp_path / "make.out").open("wb")
    command = ["make", "run", f"DATA_DIR={data_dir}", "HTTP_PORT=", "STEP_TIMEOUT_SECONDS=2"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as make:
        started = Stack(data_dir, make)
        eventually((data_dir / "run.json").exists, within=60, what="the start of the stack")
        pids = started.tree()
        assert "STEP_TIMEOUT_SECONDS=2\n" in (data_dir / "stack.env").read_text()
        os.kill(make.pid, signal.SIGTERM)
        make.wait(15)
    eventually(lambda: not any(is_running(pid) for pid in pids), what="the end of the servers")
    assert not (data_dir / "run.json").exists()


def test_a_database_and_a_broker_that_were_given_are_used_and_left_running_and_no_address_is(
    tmp_path: Path, empty_database: str, bare_kafka: KafkaBroker
) -> None:
    running = Stack.start(tmp_path / "data", DATABASE_URL=empty_database, KAFKA_BROKERS=bare_kafka.bootstrap, HTTP_HOST="0.0.0.0")  # noqa: S104 - what is tested

    run = running.run_json()

    assert run["postgres"] == {"url": empty_database, "pid": None}
    assert run["kafka"] == {"bootstrap": bare_kafka.bootstrap, "pid": None}
    assert _listening(running.pid("http")) == {"127.0.0.1"}
    _place_order(running)
    assert running.stop() == 0
    check_reachable(bare_kafka.bootstrap)


def _listening(pid: int) -> set[str]:
    """The addresses on which a process listens."""
    return {each.laddr.ip for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def _as_admin(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.token('admin', 'root')}"}


def _place_order(stack: Stack) -> str:
    answer = stack.place_order()
    assert answer.status == 201, answer.body
    return str(answer.json()["order"]["orderId"])

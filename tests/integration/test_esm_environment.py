"""Functions in processes of their own: started, timed out, crashed, frozen, and gone with their parent."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.esm.environment import FunctionConfiguration, InitTimedOut, IsolatedFunction, RuntimeExited
from infra.esm.forks import ForkServer
from infra.esm.invoke import FunctionError, FunctionTimedOut, HandlerNotFound
from tests.support.eventually import eventually
from tests.support.stack import is_running

ROOT = Path(__file__).resolve().parents[2]

HANDLER = """
    import os, random, signal, socket, subprocess, sys, threading, time, uuid
    import uuid_utils.compat

    # Whatever state there is to begin with, a fork copies.
    random.random(), uuid_utils.compat.uuid7(), uuid_utils.compat.uuid4()
    calls = []
    ticks = [0]

    def count():
        while True:
            ticks[0] += 1
            time.sleep(0.001)

    def handle(event, context):
        calls.append(event)
        return globals()[event["do"]](event, context)

    def tell(event, context):
        return {
            "pid": os.getpid(),
            "calls": len(calls),
            "main thread": threading.current_thread() is threading.main_thread(),
            "name": context.function_name,
            "memory": context.memory_limit_in_mb,
            "milliseconds": context.get_remaining_time_in_millis(),
            "variables": {name: os.environ.get(name) for name in ("_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "TABLE")},
        }

    def echo(event, context):
        return event["what"]

    def fail(event, context):
        raise ValueError("no such order")

    def no_json(event, context):
        return object()

    def nest(event, context):
        sys.setrecursionlimit(100_000)
        nested = None
        for _ in range(event["depth"]):
            nested = [nested]
        return nested

    def count_high(event, context):
        sys.set_int_max_str_digits(0)
        return 10 ** event["digits"]

    def babble(event, context):
        for fd in range(3, 4096):
            try:
                os.write(fd, b"\\x00\\x00\\x00\\x02{}")
            except OSError:
                pass

    def hang(event, context):
        event.get("child") and subprocess.Popen(["sleep", "60"])
        time.sleep(60)

    def leave(event, context):
        sys.exit(event["status"])

    def crash(event, context):
        os.kill(os.getpid(), getattr(signal, event["signal"]))

    def speak(event, context):
        print("said on stdout")
        print("said on stderr", file=sys.stderr)

    def start_counting(event, context):
        threading.Thread(target=count, daemon=True).start()

    def counted(event, context):
        return ticks[0]

    def random_ids(event, context):
        return [random.random(), str(uuid_utils.compat.uuid7()), str(uuid_utils.compat.uuid4()), str(uuid.uuid4())]

    def sockets(event, context):
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
        return sum(link.startswith("socket:") for link in links)
"""

Make = Callable[..., IsolatedFunction]


@contextmanager
def forking(*modules: str) -> Iterator[ForkServer]:
    """A process that has imported these modules and forks functions."""
    ours, theirs = socket.socketpair()
    imports = "".join(f"import {module}; " for module in modules)
    path = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, "-u", "-c", imports + FORKING, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": path}) as process:
        theirs.close()
        forks = ForkServer(ours)
        try:
            yield forks
        finally:
            forks.close()
            process.wait(10)


FORKING = """
import os, socket, sys
from infra.esm.forks import exit_after, serve_jobs
from infra.esm.runtime import run_forked
connection = socket.socket(fileno=int(sys.argv[1]))
connection.set_inheritable(False)
exit_after(lambda: serve_jobs(connection, run_forked))
"""


@pytest.fixture(params=["started", "forked"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes functions with the handler above, which are closed at the end: started, or forked from one that has imported it."""
    (tmp_path / "sample.py").write_text(textwrap.dedent(HANDLER))
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[IsolatedFunction] = []
    with ExitStack() as stack:
        forks = stack.enter_context(forking("sample")) if request.param == "forked" else None

        def function(
            handler: str = "sample.handle", *, freeze: bool = False, init_seconds: float = 10.0, **configured: Any
        ) -> IsolatedFunction:
            made.append(
                IsolatedFunction(FunctionConfiguration("f", handler, **configured), freeze=freeze, forks=forks, init_seconds=init_seconds)
            )
            return made[-1]

        yield function
        for each in made:
            each.close()


def call(function: IsolatedFunction, do: str, **more: Any) -> Any:
    return function.invoke(json.dumps({"do": do, **more}))


def is_gone(pid: int) -> bool:
    """Whether no process has this id, not even a dead one that nobody has waited for."""
    return not psutil.pid_exists(pid)


@pytest.mark.rule("environment-once")
def test_the_handler_is_imported_once_and_called_in_the_main_thread_of_another_process(make: Make) -> None:
    function = make(timeout_seconds=50, memory_size=256, variables={"TABLE": "orders"})

    first, second = call(function, "tell"), call(function, "tell")

    assert first["pid"] == second["pid"] == function.pid != os.getpid()
    assert (first["calls"], second["calls"]) == (1, 2)
    assert first["main thread"]
    assert (first["name"], first["memory"]) == ("f", "256")
    assert 40_000 < first["milliseconds"] <= 50_000
    assert first["variables"]["TABLE"] == "orders"
    assert (first["variables"]["_HANDLER"], first["variables"]["AWS_LAMBDA_FUNCTION_NAME"]) in [("sample.handle", "f"), (None, None)]


@pytest.mark.rule("function-json")
def test_an_event_of_six_megabytes_and_its_answer_pass(make: Make) -> None:
    what = ["ë", None, "x" * 6_000_000]

    assert call(make(), "echo", what=what) == what


@pytest.mark.rule("environment-timeout")
def test_a_function_is_killed_at_its_timeout_with_all_that_it_started_and_begins_anew(make: Make) -> None:
    function = make(timeout_seconds=1)
    before = call(function, "tell")["pid"]
    child: list[int] = []
    watcher = threading.Thread(target=lambda: child.append(eventually(lambda: psutil.Process(before).children())[0].pid))
    watcher.start()

    with pytest.raises(FunctionTimedOut, match=r"^Task timed out after 1\.00 seconds$"):
        call(function, "hang", child=True)

    watcher.join(5)
    assert function.pid is None
    assert is_gone(before)
    # Its parent being dead, whoever reaps orphans has to take notice.
    eventually(lambda: is_gone(child[0]) or psutil.Process(child[0]).status() == psutil.STATUS_ZOMBIE)
    after = call(function, "tell")
    assert (after["calls"], after["pid"] != before) == (1, True)


@pytest.mark.rule("environment-exits")
@pytest.mark.parametrize(
    ("do", "message"),
    [
        ({"do": "leave", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "leave", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "crash", "signal": "SIGSEGV"}, "Runtime exited with error: signal: segmentation fault"),
        ({"do": "crash", "signal": "SIGKILL"}, "Runtime exited with error: signal: killed"),
    ],
)
def test_a_process_that_ends_is_an_error_of_the_function_and_the_next_call_begins_anew(
    make: Make, do: dict[str, Any], message: str
) -> None:
    function = make()

    with pytest.raises(RuntimeExited, match=f"^{message}$"):
        function.invoke(json.dumps(do))

    assert call(function, "tell")["calls"] == 1


@pytest.mark.rule("environment-exits")
def test_a_process_that_died_between_two_calls_costs_no_call(make: Make) -> None:
    function = make()
    pid = call(function, "tell")["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: function.pid is None)

    assert call(function, "tell")["pid"] != pid


@pytest.mark.rule("function-error")
@pytest.mark.parametrize(("do", "message"), [("fail", "ValueError: no such order"), ("no_json", "TypeError: .* not JSON serializable")])
def test_what_a_function_raises_is_its_error_and_its_process_lives_on(make: Make, do: str, message: str) -> None:
    function = make()

    with pytest.raises(FunctionError, match=message) as error:
        call(function, do)

    assert error.value.kind == "Unhandled"
    assert call(function, "tell")["calls"] == 2


@pytest.mark.parametrize(
    ("handler", "reason"),
    [("sample.nowhere", "module 'sample' has no 'nowhere'"), ("nowhere.handle", "module 'nowhere' can't be imported")],
)
def test_a_handler_that_is_not_there_is_told_when_it_is_started(make: Make, handler: str, reason: str) -> None:
    function = make(handler)

    with pytest.raises(HandlerNotFound, match=reason):
        function.start()

    assert function.pid is None


@pytest.mark.rule("function-error")
@pytest.mark.parametrize(
    ("do", "more", "message"),
    [
        ("nest", {"depth": 5000}, "the answer can't be read: maximum recursion depth"),
        ("count_high", {"digits": 5000}, "the answer can't be read: .* 5001 digits"),
        ("babble", {}, "the answer can't be read: it is not of the runtime's form"),
    ],
)
def test_an_answer_that_can_t_be_read_is_an_error_of_the_function_and_the_next_call_begins_anew(
    make: Make, do: str, more: dict[str, int], message: str
) -> None:
    function = make()
    before = call(function, "tell")["pid"]

    with pytest.raises(FunctionError, match=message) as raised:
        call(function, do, **more)

    assert raised.value.kind == "Unhandled"
    assert is_gone(before)
    assert call(function, "tell")["calls"] == 1


@pytest.mark.rule("environment-init")
def test_a_module_that_fails_or_takes_too_long_to_import_is_an_error_of_the_function(make: Make, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("raise KeyError('TABLE_NAME')")
    (tmp_path / "leaving.py").write_text("raise SystemExit(4)")
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")

    for handler, error, message in [
        ("failing.handle", FunctionError, "KeyError: 'TABLE_NAME'"),
        ("leaving.handle", RuntimeExited, "exit status 4"),
        ("slow.handle", InitTimedOut, r"Init timed out after 0\.50 seconds"),
    ]:
        function = make(handler, init_seconds=0.5 if error is InitTimedOut else 10.0)
        with pytest.raises(error, match=message):
            function.invoke("{}")
        assert function.pid is None


@pytest.mark.rule("environment-frozen")
def test_between_invocations_a_frozen_function_stands_still(make: Make) -> None:
    function = make(freeze=True)
    call(function, "start_counting")
    process = psutil.Process(function.pid)
    eventually(lambda: process.status() == psutil.STATUS_STOPPED)

    before = process.num_ctx_switches()
    call(make(), "tell")

    assert process.num_ctx_switches() == before, "none of its threads ran while another process was started"
    first = call(function, "counted")
    eventually(lambda: call(function, "counted") > first, what="the thread to go on while the function is invoked")
    function.close()
    assert is_gone(process.pid)


def test_what_a_function_prints_goes_to_standard_error(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    call(make(), "speak")

    written = capfd.readouterr()
    assert written.out == ""
    assert {"said on stdout", "said on stderr"} <= set(written.err.splitlines())


def test_a_function_inherits_no_socket_but_its_own_connection(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        first, second = make(), make()

        assert [call(first, "sockets"), call(second, "sockets")] == [1, 1]


def test_two_processes_never_make_the_same_ids_and_random_numbers(make: Make) -> None:
    first, second = call(make(), "random_ids"), call(make(), "random_ids")

    assert not set(first) & set(second)


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_process_that_forks_takes_its_functions_with_it_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    (tmp_path / "sample.py").write_text(textwrap.dedent(HANDLER))
    monkeypatch.syspath_prepend(str(tmp_path))
    with forking("sample") as forks:
        functions = [IsolatedFunction(FunctionConfiguration("f", "sample.handle"), forks=forks) for _ in range(2)]
        pids = [call(function, "tell")["pid"] for function in functions]
        if is_killed:
            psutil.Process(psutil.Process(pids[0]).ppid()).kill()
            eventually(lambda: functions[0].pid is None)
            with pytest.raises(FunctionError, match="gone or does not answer"):
                functions[0].invoke("{}")

    eventually(lambda: not any(is_running(pid) for pid in pids))


def test_several_threads_may_each_have_a_function_and_leave_it_to_another(make: Make) -> None:
    functions = [make() for _ in range(3)]
    pids: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda number=number: pids.update({number: call(functions[number], "tell")["pid"]})) for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(set(pids.values())) == 3
    assert {number: call(functions[number], "tell")["pid"] for number in range(3)} == pids, "it outlives the thread that started it"


@pytest.mark.parametrize("freeze", [False, True])
def test_a_function_dies_with_the_process_that_called_it(make: Make, tmp_path: Path, freeze: bool) -> None:
    script = textwrap.dedent(
        f"""
        import json, sys, time
        from infra.esm.environment import FunctionConfiguration, IsolatedFunction
        function = IsolatedFunction(FunctionConfiguration("f", "sample.handle", 60), freeze={freeze})
        print(function.invoke(json.dumps({{"do": "tell"}}))["pid"], flush=True)
        function.invoke(json.dumps({{"do": "hang"}})) if not {freeze} else time.sleep(60)
        """
    )
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        child = psutil.Process(pid)
        parent.kill()

    eventually(lambda: is_gone(pid) or child.status() == psutil.STATUS_ZOMBIE)

"""What docker-compose.yml has the image run, run without an engine: with its files, packages and environment, on the embedded servers."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.stack.ports import free_port
from tests.support.edge import NEW_ORDER, ORDERS
from tests.support.eventually import eventually
from tests.support.gateway import call
from tests.support.image import COMPOSE, Container, Image, services
from tests.support.servers import KafkaBroker

ONE_SHOT = ("migrations", "topics", "keys")
SERVING = ("partners", "triggers", "api")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def containers(tmp_path: Path, empty_database: str, bare_kafka: KafkaBroker, port: int) -> dict[str, Container]:
    image = Image.make(tmp_path / "image")
    (tmp_path / "data").mkdir()
    found = {name: service for name, service in services().items() if name in ONE_SHOT + SERVING}
    variables = found["api"]["environment"]
    places = {
        variables["DATABASE_URL"]: empty_database,
        variables["KAFKA_BROKERS"]: bare_kafka.bootstrap,
        variables["HTTP_HOST"]: "127.0.0.1",
        str(variables["HTTP_PORT"]): str(port),
        variables["DATA_DIR"]: str(tmp_path / "data"),
    }
    return {name: Container(image, service, places | {"/tmp": str(_folder(tmp_path / name))}) for name, service in found.items()}  # noqa: S108 - the container's own


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@contextmanager
def serving(containers: dict[str, Container], logs: Path) -> Iterator[None]:
    """The services that stay, healthy while the block runs; each ends well when it is asked to."""
    with ExitStack() as started:
        processes = {name: started.enter_context(containers[name].start(logs / f"{name}.log")) for name in SERVING}
        started.callback(lambda: [process.kill() for process in processes.values()])
        for name, process in processes.items():
            eventually(lambda name=name: containers[name].is_healthy, within=40, every=0.2, what=f"the health of {name}")
            assert process.poll() is None, (logs / f"{name}.log").read_text()
        yield
        for process in processes.values():
            process.terminate()
        codes = {name: process.wait(20) for name, process in processes.items()}
    assert codes == dict.fromkeys(SERVING, 0)


def test_one_shot_services_prepare_and_the_others_take_an_order_through_its_saga(
    containers: dict[str, Container], port: int, tmp_path: Path
) -> None:
    assert not any(containers[name].is_healthy for name in SERVING)
    for name in ONE_SHOT:
        with containers[name].start(tmp_path / "log") as process:
            assert process.wait(30) == 0, (tmp_path / "log").read_text()

    with serving(containers, tmp_path):
        documented = re.search(r"exec -T -e (\w+=\S+) -e (\w+=\S+) api (.*)\)", COMPOSE.read_text())
        assert documented is not None
        given = dict(pair.split("=") for pair in documented.groups()[:2])
        token = containers["api"].execute(*shlex.split(documented[3]), **given).stdout.strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Prefer": "wait=20"}
        placed = call(port, "POST", ORDERS, json.dumps(NEW_ORDER).encode(), headers)
        assert (placed.status, placed.json()["order"]["orderStatus"]) == (201, "READY_FOR_PICKUP"), placed.body

        for service, line in (("api", '"path":"/api/orders"'), ("triggers", "A saga ended")):
            assert (tmp_path / f"{service}.log").read_text().count(line) == 1, f"{service} logs twice, or not at all"

        audited = containers["api"].execute("python", "-m", "infra.operator", "audit")
        assert audited.returncode == 0, audited.stdout

"""`make logs`: what all functions said of one order, in the order in which they did."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.operator.logs import logs

ORDER, OTHER = "01a22644-b3f6-7359-87ce-531428b6c398", "01a22644-b3f6-7359-87ce-531428b6c399"
BEGAN = {"level": "INFO", "message": "A saga began", "timestamp": "2026-11-29 08:00:01,100+0000", "order_id": ORDER, "saga": "create_order"}
MOVED = {**BEGAN, "message": "A saga moved on", "timestamp": "2026-11-29 08:00:01,300+0000", "outcome": "payment.authorized\x1b[31m"}
ANSWERED = {**BEGAN, "message": "A request was answered", "timestamp": "2026-11-29 08:00:01,200+0000", "status": 202, "saga": None}
REGION = "eu-west-1"


def write(file: Path, *lines: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> int:
    for name, value in {"DATA_DIR": str(folder), "STAGE": "", "ORDER": ORDER, "HOURS": "", **variables}.items():
        monkeypatch.setenv(name, value)
    return logs()


def test_at_home_the_logs_of_all_parts_are_read_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "logs" / "gateway.log", ANSWERED, f"plain text about {ORDER}", {**MOVED, "order_id": OTHER}, f'{{"half": "{ORDER}"')
    write(tmp_path / "logs" / "gateway.log.1", BEGAN)
    write(tmp_path / "logs" / "triggers.log", MOVED)
    told = {"timestamp": "2026-11-29 08:00:01,400", "level": "INFO", "message": "notification sent", "order_id": ORDER}
    write(tmp_path / "logs" / "partners.log", told)
    assert run(monkeypatch, tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-29 08:00:01,100  gateway   A saga began  saga=create_order",
        "2026-11-29 08:00:01,200  gateway   A request was answered  status=202",
        "2026-11-29 08:00:01,300  triggers  A saga moved on  saga=create_order  outcome=payment.authorized\\x1b[31m",
        "2026-11-29 08:00:01,400  partners  notification sent",
    ]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ORDER": "cust_1"}, "ORDER must be an order's id"),
        ({"ORDER": OTHER}, f"no line is about order {OTHER}"),
        ({"DATA_DIR": "/nowhere"}, "there are no logs in /nowhere/logs"),
    ],
)
def test_what_can_not_be_followed_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], sentence: str
) -> None:
    write(tmp_path / "logs" / "gateway.log", BEGAN)
    assert run(monkeypatch, tmp_path, **variables) == 1
    assert sentence in capsys.readouterr().err


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """CloudWatch Logs as moto plays it; it reads no `filter`, so what comes back has to be looked at again."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("logs")
        said = {"campusg-orders-dev-api_handler": [BEGAN, {**BEGAN, "order_id": OTHER}], "campusg-orders-dev-on_user_events": [MOVED]}
        for function, lines in {**said, "campusg-orders-prod-api_handler": [ANSWERED]}.items():
            names = {"logGroupName": f"/aws/lambda/{function}", "logStreamName": "one"}
            client.create_log_group(logGroupName=names["logGroupName"])
            client.create_log_stream(**names)
            now = int(time.time() * 1000)
            client.put_log_events(**names, logEvents=[{"timestamp": now, "message": json.dumps(line)} for line in lines])
        yield client


def test_of_a_deployed_service_the_functions_of_that_stage_are_asked(
    deployed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, STAGE="dev") == 0
    assert [line.split()[2:6] for line in capsys.readouterr().out.splitlines()] == [
        ["api_handler", "A", "saga", "began"],
        ["on_user_events", "A", "saga", "moved"],
    ]
    assert run(monkeypatch, tmp_path, STAGE="test") == 1
    assert "no function of stage test has a log" in capsys.readouterr().err

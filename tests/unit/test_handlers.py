"""What AWS would call by name is what app.py has under that name."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chalice import app as chalice_app
from chalice.config import Config
from chalice.deploy import models
from chalice.deploy.appgraph import ApplicationGraphBuilder

from chalicelib.entrypoints import NEEDED
from chalicelib.messages.topics import PARTITIONS, SCHEDULES, TRIGGERS

PROJECT = Path(__file__).parents[2] / "orders_app"
HTTP_HANDLER = "app.app"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return importlib.import_module("app")


@pytest.fixture(scope="module")
def functions(module: ModuleType) -> dict[str, models.LambdaFunction]:
    """Every Lambda function that Chalice would deploy, by the name that it would have."""
    disk = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    config = Config(
        chalice_stage="local",
        user_provided_params={
            "chalice_app": module.app,
            "project_dir": str(PROJECT),
            "autogen_policy": False,
            "iam_role_arn": "arn:aws:iam::1:role/r",
        },
        config_from_disk={**disk, "manage_iam_role": False},
    )
    resources = ApplicationGraphBuilder().build(config, "local").resources
    return {function.resource_name: function for function in lambda_functions(resources)}


def lambda_functions(resources: list[Any]) -> Iterator[models.LambdaFunction]:
    """Those among the resources, and those on which one of them rests."""
    for resource in resources:
        if isinstance(resource, models.LambdaFunction):
            yield resource
        yield from lambda_functions([each for each in resource.dependencies() if isinstance(each, models.Model)])


def test_every_deployed_handler_is_the_function_registered_under_its_name(
    module: ModuleType, functions: dict[str, models.LambdaFunction]
) -> None:
    for name, function in functions.items():
        module_name, _, attribute = function.handler.partition(".")
        assert module_name == "app", f"{function.handler} would run without app.py"
        if function.handler == HTTP_HANDLER:
            assert getattr(module, attribute) is module.app
            continue
        assert attribute == name
        assert getattr(module, attribute) is module.app.handler_map[name]


def test_no_function_of_the_app_is_left_out(module: ModuleType, functions: dict[str, models.LambdaFunction]) -> None:
    app = module.app
    registered = {each.name for each in (*app.pure_lambda_functions, *app.event_sources, *app.builtin_auth_handlers)}

    assert {function.handler for function in functions.values()} == {HTTP_HANDLER, *(f"app.{name}" for name in registered)}
    assert "token_auth" in registered
    assert {"app", *registered} == set(NEEDED)


def test_what_a_handler_runs_is_a_plain_function_of_app_py(module: ModuleType) -> None:
    for name, registered in module.app.handler_map.items():
        function: Any = registered
        while not hasattr(function, "__code__"):
            function = getattr(function, "_original_func", None) or function.func
        function = getattr(function, "__wrapped__", function)
        assert (function.__name__, function.__module__) == (name, "app")
        assert Path(function.__code__.co_filename).resolve() == PROJECT / "app.py"


def test_every_trigger_calls_a_function_that_is_there(module: ModuleType) -> None:
    called = [trigger.function for trigger in TRIGGERS]

    assert len(set(called)) == len(called)
    assert set(called) == {each.name for each in module.app.pure_lambda_functions} - {"migrate"}
    assert {trigger.topic for trigger in TRIGGERS} == {topic for topic in PARTITIONS if topic.endswith("-events")} - {"order-events"}


def test_every_schedule_calls_a_scheduled_function_and_none_is_forgotten(module: ModuleType) -> None:
    scheduled = [source.name for source in module.app.event_sources if isinstance(source, chalice_app.ScheduledEventConfig)]

    assert sorted(schedule.function for schedule in SCHEDULES) == sorted(scheduled)
    assert len(scheduled) == len(module.app.event_sources), "an event source of another kind has no schedule"


def test_functions_of_the_app_come_from_no_blueprint(module: ModuleType) -> None:
    assert not [value for value in vars(module).values() if isinstance(value, chalice_app.Blueprint)]


def test_every_api_route_asks_who_is_there_and_no_other_does(module: ModuleType) -> None:
    for path, methods in module.app.routes.items():
        for entry in methods.values():
            assert (entry.authorizer is not None) == path.startswith("/api/"), path


def test_every_route_reads_any_media_type_so_that_a_wrong_one_is_our_own_problem(module: ModuleType) -> None:
    assert {tuple(entry.content_types) for methods in module.app.routes.values() for entry in methods.values()} == {("*/*",)}

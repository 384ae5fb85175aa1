"""Functions found by their handler strings and called as on Lambda."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.esm.invoke import Function, FunctionError, FunctionTimedOut, HandlerNotFound, LambdaContext, load_handler


def test_a_handler_string_leads_to_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "esm_sample_app.py").write_text("def handle(event, context):\n    return [event, context.function_name]\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    handler = load_handler("esm_sample_app.handle")

    assert handler(1, LambdaContext(Function("f", handler))) == [1, "f"]
    sys.modules.pop("esm_sample_app")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("handle", "module.function"),
        (".handle", "module.function"),
        ("app.", "module.function"),
        ("no_such_module_at_all.handle", "can't be imported: No module named"),
        ("json.no_such_function", "has no 'no_such_function'"),
        ("json.__doc__", "not callable"),
    ],
)
def test_a_handler_string_that_leads_nowhere_is_refused_with_the_reason(handler: str, reason: str) -> None:
    with pytest.raises(HandlerNotFound, match=reason) as refused:
        load_handler(handler)
    assert handler in str(refused.value)


@pytest.mark.rule("function-json")
def test_event_and_answer_pass_through_json() -> None:
    seen: list[Any] = []

    def handle(event: Any, context: Any) -> Any:
        seen.append(event)
        return {"numbers": (1, 2)}

    assert Function("f", handle).invoke('{"a": [1]}') == {"numbers": [1, 2]}
    assert seen == [{"a": [1]}]


@pytest.mark.rule("function-error")
@pytest.mark.parametrize("failure", [ValueError("no"), SystemExit(3)])
def test_whatever_a_function_raises_is_its_error(failure: BaseException) -> None:
    def handle(event: Any, context: Any) -> Any:
        raise failure

    with pytest.raises(FunctionError, match=f"{type(failure).__name__}: {failure}") as error:
        Function("f", handle).invoke("{}")
    assert error.value.__cause__ is failure
    assert error.value.kind == "Unhandled"


@pytest.mark.rule("function-timeout")
def test_a_function_that_took_longer_than_its_timeout_has_timed_out_whatever_it_answers() -> None:
    over: list[str] = []

    def handle(event: Any, context: Any) -> str:
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass
        over.append("done")
        return "an answer that nobody hears"

    function = Function("f", handle, timeout_seconds=0.01)

    with pytest.raises(FunctionTimedOut, match=r"^Task timed out after 0\.01 seconds$"):
        function.invoke("{}")
    assert over == ["done"]
    function.close()


@pytest.mark.rule("function-error")
def test_an_answer_that_is_no_json_is_an_error_of_the_function() -> None:
    with pytest.raises(FunctionError, match="not JSON serializable"):
        Function("f", lambda event, context: object()).invoke("{}")


@pytest.mark.rule("function-context")
def test_the_context_tells_the_function_its_name_limits_and_remaining_time() -> None:
    function = Function("on_orders", lambda event, context: None, timeout_seconds=30, memory_size=512)
    context = LambdaContext(function)

    assert context.function_name == "on_orders"
    assert context.memory_limit_in_mb == "512"
    assert context.invoked_function_arn.endswith(":function:on_orders")
    assert context.aws_request_id != LambdaContext(function).aws_request_id
    assert 29_000 < context.get_remaining_time_in_millis() <= 30_000
    assert LambdaContext(Function("f", function.handler, timeout_seconds=0)).get_remaining_time_in_millis() == 0

"""Names and ARNs of functions."""

import pytest

from infra.esm.function_names import FunctionName
from infra.esm.invoke import Function, LambdaContext
from infra.esm.mapping import EventSourceMapping, InvalidMapping

HERE = "arn:aws:lambda:us-east-1:000000000000:function:f"
THERE = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f"


@pytest.mark.rule("function-names")
@pytest.mark.parametrize(
    ("text", "name", "qualifier", "arn"),
    [
        ("f", "f", None, HERE),
        ("f:live", "f", "live", f"{HERE}:live"),
        ("f:$LATEST", "f", "$LATEST", f"{HERE}:$LATEST"),
        ("function:f", "f", None, HERE),
        ("123456789012:function:f:7", "f", "7", "arn:aws:lambda:us-east-1:123456789012:function:f:7"),
        ("us-gov-west-1:123456789012:f", "f", None, "arn:aws:lambda:us-gov-west-1:123456789012:function:f"),
        (THERE, "f", None, THERE),
        (f"{THERE}:live", "f", "live", f"{THERE}:live"),
    ],
)
def test_a_function_is_known_by_each_form_of_its_name(text: str, name: str, qualifier: str | None, arn: str) -> None:
    assert FunctionName.read(text) == (name, qualifier, arn)


def test_the_arn_of_an_on_failure_record_has_a_qualifier() -> None:
    assert FunctionName.read("f").versioned_arn == f"{HERE}:$LATEST"
    assert FunctionName.read("f:live").versioned_arn == f"{HERE}:live"


@pytest.mark.rule("function-names")
@pytest.mark.parametrize(
    "text", ["a b", "f:", ":f", "f:a:b", "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:lambda:us-east-1:1:function:f"]
)
def test_what_names_no_function_is_refused(text: str) -> None:
    with pytest.raises(InvalidMapping, match=r"^FunctionName: .* is no name or ARN of a function$"):
        EventSourceMapping(text, ("topic",), "LATEST")


@pytest.mark.rule("function-names")
def test_the_context_has_the_name_the_version_and_the_arn_that_was_asked_for() -> None:
    by_alias, by_version = (LambdaContext(Function(f"{THERE}:{qualifier}", lambda event, context: None)) for qualifier in ("live", "7"))

    assert (by_alias.function_name, by_alias.function_version, by_alias.invoked_function_arn) == ("f", "$LATEST", f"{THERE}:live")
    assert (by_version.function_version, by_version.log_group_name) == ("7", "/aws/lambda/f")

"""CloudFormation's functions as Python calls, and the names by which its resources refer to one another."""

from typing import Any, TypeAlias

Value: TypeAlias = dict[str, Any]

NO_VALUE: Value = {"Ref": "AWS::NoValue"}


def ref(name: str) -> Value:
    """A parameter's value, or what a resource is called on AWS."""
    return {"Ref": name}


def attribute(resource: str, name: str) -> Value:
    """An attribute that a resource has once it is made."""
    return {"Fn::GetAtt": [resource, name]}


def sub(text: str, **variables: Any) -> Value:
    """A text with `${Name}` in it: parameters, resources, or the variables given here."""
    return {"Fn::Sub": [text, variables] if variables else text}


def either(condition: str, then: Any, otherwise: Any = NO_VALUE) -> Value:
    """One of two values; without the second, none."""
    return {"Fn::If": [condition, then, otherwise]}


def equals(one: Any, other: Any) -> Value:
    """A condition."""
    return {"Fn::Equals": [one, other]}


def is_not(condition: Value) -> Value:
    """A condition."""
    return {"Fn::Not": [condition]}


def rule(when: Value, must: Value, sentence: str) -> Value:
    """What parameters must be under a condition on parameters; the sentence is what CloudFormation says where they are not."""
    return {"RuleCondition": when, "Assertions": [{"Assert": must, "AssertDescription": sentence}]}


def listed(parameter: str) -> Value:
    """A parameter's text as the list that it is, with commas between.

    CloudFormation's own lists have no form of their own for "none".
    """
    return {"Fn::Split": [",", ref(parameter)]}


def joined(values: Any, between: str = ",") -> Value:
    """A list's texts as one text."""
    return {"Fn::Join": [between, values]}


def piece(number: int, text: Any, between: str) -> Value:
    """The piece of a text of that number, from 0."""
    return {"Fn::Select": [number, {"Fn::Split": [between, text]}]}


def camel(name: str) -> str:
    """A logical id: `on_user_events` is OnUserEvents."""
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))

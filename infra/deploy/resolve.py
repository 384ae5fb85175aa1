"""What a template's values are for given parameters, as CloudFormation finds them: for what an emulator of it stores and doesn't tell."""

from collections.abc import Callable, Mapping
from typing import Any

from infra.aws.intrinsics import NO_VALUE, Value
from infra.deploy.errors import DeployError

ABSENT = object()


class Resolver:
    """One template with its parameters. Knows the functions that `infra.aws.intrinsics` writes, but for Fn::GetAtt."""

    def __init__(self, template: Value, given: Mapping[str, str]) -> None:
        """Parameters that are not given have their defaults."""
        self._template = template
        self._given = given
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::If": lambda each: self.value(each[1] if self.value({"Condition": each[0]}) else each[2]),
            "Condition": lambda name: self.value(template["Conditions"][name]),
            "Fn::Equals": lambda each: str(self.value(each[0])) == str(self.value(each[1])),
            "Fn::Not": lambda each: not self.value(each[0]),
            "Fn::And": lambda each: all(self.value(one) for one in each),
            "Fn::Join": lambda each: str(each[0]).join(self.value(each[1])),
            "Fn::Split": lambda each: str(self.value(each[1])).split(each[0]),
            "Fn::Select": lambda each: self.value(each[1])[int(each[0])],
            "Fn::Sub": self._sub,
        }

    def value(self, of: Any) -> Any:
        """The value with nothing left to be resolved."""
        if isinstance(of, list):
            return [found for found in map(self.value, of) if found is not ABSENT]
        if not isinstance(of, dict):
            return of
        if of == NO_VALUE:
            return ABSENT
        if len(of) == 1:
            ((name, given),) = of.items()
            if name in self._functions:
                return self._functions[name](given)
        found = {name: self.value(each) for name, each in of.items()}
        return {name: each for name, each in found.items() if each is not ABSENT}

    def _ref(self, name: str) -> Any:
        if name in self._template["Resources"]:
            # What a function is called is what refers to it.
            return self.value(self._template["Resources"][name]["Properties"]["FunctionName"])
        declared = self._template["Parameters"][name]
        text = self._given.get(name, declared.get("Default"))
        if text is None:
            raise DeployError(f"the parameter {name} is missing")
        if declared["Type"] == "CommaDelimitedList":
            return str(text).split(",")
        return text

    def _sub(self, given: Any) -> str:
        text, own = (given, {}) if isinstance(given, str) else given
        for name in self._template["Parameters"]:
            if f"${{{name}}}" in text:
                text = text.replace(f"${{{name}}}", str(self._ref(name)))
        for name, value in own.items():
            text = text.replace(f"${{{name}}}", str(self.value(value)))
        return str(text)


def mappings(template: Value, given: Mapping[str, str]) -> list[Value]:
    """The template's event source mappings, as requests of the Lambda API."""
    resolver = Resolver(template, given)
    found = [each for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::EventSourceMapping"]
    return [_request(resolver.value(each["Properties"])) for each in found]


def _request(properties: Value) -> Value:
    endpoints = properties.get("SelfManagedEventSource", {}).get("Endpoints", {})
    if "KafkaBootstrapServers" in endpoints:
        # CloudFormation's own name for it.
        endpoints["KAFKA_BOOTSTRAP_SERVERS"] = endpoints.pop("KafkaBootstrapServers")
    return properties

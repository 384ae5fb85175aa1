"""cfn-lint, SAM's translator and parliament on templates: a program for the environment that has them, and imports nothing of ours.

`checkers.py FOLDER` reads FOLDER/*.json and prints what they find as JSON: a list of [file, resource, sentence].
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

REGION = "us-east-1"
ACCOUNT = "123456789012"
MSK = f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/campusg/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
SAM = "AWS::Serverless-2016-10-31"
# What parameters may be and attributes are, where a policy needs their form.
SAMPLES = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "Stage": "dev",
    "KafkaClusterArn": MSK,
    "SubnetIds": "subnet-0a1,subnet-0a2",
    "ExistingSubnetIds": "subnet-0a1,subnet-0a2",
    "DatabaseProxyId": "prx-0123456789abcdef0",
    "DatabaseUser": "campusg",
    "DatabaseOwner": "campusg_owner",
    "DatabaseSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:campusg-a1b2c3",
}
ATTRIBUTES = {
    "Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/one:*",
    "DbiResourceId": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "MasterUserSecret.SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds-db-a1b2c3",
}

Finding = tuple[str, str, str]


def main(folder: Path) -> None:
    """Check every template of the folder and print what was found."""
    os.environ["AWS_DEFAULT_REGION"] = REGION
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = [finding for findings in pool.map(check, sorted(folder.glob("*.json"))) for finding in findings]
    sys.stdout.write(json.dumps(found))


def check(file: Path) -> list[Finding]:
    """What is wrong with a template: as it stands, and what SAM makes of it."""
    template = json.loads(file.read_text(encoding="utf-8"))
    found = list(lint(file.name, template))
    if template.get("Transform") == SAM:
        translated = translate(template)
        if isinstance(translated, str):
            return [*found, (file.name, "", f"SAM: {translated}")]
        found += lint(f"{file.name}, translated", translated)
        template = translated
    return [*found, *policies(file.name, template)]


def lint(name: str, template: Mapping[str, Any]) -> Iterator[Finding]:
    """What cfn-lint finds."""
    from cfnlint.api import lint as cfn_lint
    from cfnlint.config import ManualArgs

    for match in cfn_lint(json.dumps(template), config=ManualArgs(regions=[REGION])):
        place = [str(step) for step in match.path or []]
        resource = place[1] if len(place) > 1 else ""
        yield name, resource, f"{match.rule.id} {match.message} ({'/'.join(place)})"


def translate(template: Mapping[str, Any]) -> dict[str, Any] | str:
    """The template as CloudFormation makes it of SAM's; the translator's sentence where it can't."""
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    try:
        translated: dict[str, Any] = Translator({}, Parser()).translate(json.loads(json.dumps(template)), {})
    except InvalidDocumentException as error:
        return "; ".join(cause.message for cause in error.causes)
    return translated


def policies(name: str, template: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the roles' policies: unknown actions, actions that don't fit their resource, a star where one can be named."""
    import parliament

    for role, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for policy in resolved(resource["Properties"]["Policies"]):
            analysed = parliament.analyze_policy_string(json.dumps(policy["PolicyDocument"]))
            for finding in analysed.findings:
                yield name, role, f"{finding.issue}: {finding.detail or finding.location}"


def resolved(value: Any) -> Any:
    """A value with sample texts for what CloudFormation puts in; of conditions, the branch for which they hold."""
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, given),) = value.items()
        if name in FUNCTIONS:
            return FUNCTIONS[name](given)
    return {name: resolved(each) for name, each in value.items()}


def _sub(given: Any) -> str:
    text, own = (given, {}) if isinstance(given, str) else given
    for name, value in {**SAMPLES, **resolved(own)}.items():
        text = text.replace(f"${{{name}}}", str(value))
    return str(text)


def _join(given: Any) -> str:
    between, values = given
    return str(between).join(resolved(values))


def _split(given: Any) -> list[str]:
    between, text = given
    return str(resolved(text)).split(between)


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "Ref": lambda name: SAMPLES.get(name, name),
    "Fn::GetAtt": lambda place: ATTRIBUTES[place[1]],
    "Fn::If": lambda given: resolved(given[1]),
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": lambda given: resolved(given[1])[given[0]],
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))

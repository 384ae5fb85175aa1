"""Parameters of the stacks as a person gives them: PARAMETERS="Name=value …"."""

import difflib
import shlex
from collections.abc import Mapping

from infra.aws import stages
from infra.aws.intrinsics import Value
from infra.deploy.errors import DeployError

OWN = frozenset({"Stage", "CodeBucket", "CodeKey", "CodeRuntime", "CodeArchitecture"})


def read_parameters(text: str, *templates: Value) -> dict[str, str]:
    """The parameters in a text, each of which one of the templates must have; raises DeployError."""
    known = {name for template in templates for name in template["Parameters"]}
    given = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise DeployError(f"PARAMETERS can't be read: {error}") from error
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DeployError(f'PARAMETERS must be "Name=value Name=value", and {word!r} is not of that form')
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise DeployError(f"PARAMETERS: no stack has a parameter {name!r}" + (f"; is {near[0]} meant?" if near else ""))
        if name in OWN:
            raise DeployError(f"PARAMETERS: {name} follows from STAGE, BUCKET and the package; leave it out")
        given[name] = value
    return given


def require(template: Value, given: Mapping[str, str]) -> None:
    """Raise DeployError that says which parameters the template still needs, and how they are given."""
    missing = stages.missing(template, given)
    if missing:
        needed = "; ".join(f"{name} ({description})" if description else name for name, description in sorted(missing.items()))
        raise DeployError(f'these parameters are missing: {needed}. Give them as PARAMETERS="{sorted(missing)[0]}=…"')

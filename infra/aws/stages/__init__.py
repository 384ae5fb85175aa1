"""What the stages differ in: the parameters of both stacks, in a file for each stage beside this one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from infra.aws.intrinsics import Value

FOLDER = Path(__file__).parent
STAGES = tuple(sorted(file.stem for file in FOLDER.glob("*.json")))

Stack = Literal["data", "service"]


def stack_name(stage: str, stack: Stack) -> str:
    """What the stack of a stage is called."""
    return f"campusg-orders-{stage}-{stack}"


def parameters(stage: str, stack: Stack) -> dict[str, str]:
    """The parameters that the stage's file gives the stack, with the stage itself."""
    given: dict[str, str] = json.loads((FOLDER / f"{stage}.json").read_text(encoding="utf-8"))[stack]
    return {"Stage": stage, **given}


def missing(template: Value, given: Mapping[str, str]) -> dict[str, str]:
    """The template's parameters that have no default and are not given, with what each is for."""
    declared: dict[str, Value] = template["Parameters"]
    return {name: each.get("Description", "") for name, each in declared.items() if "Default" not in each and name not in given}


def known(template: Value, outputs: Mapping[str, str]) -> dict[str, str]:
    """Those outputs of another stack that the template has parameters for, by their names."""
    return {name: value for name, value in outputs.items() if name in template["Parameters"]}

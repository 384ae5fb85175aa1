"""Writes the declarations of triggers and alarms in Terraform's JSON syntax: `make declare`."""

import json
from pathlib import Path
from typing import Any

from chalicelib.messages.topics import TRIGGERS
from infra.aws import alarms, event_source_mappings
from infra.console import say

FOLDER = Path(__file__).parent


def files() -> dict[Path, str]:
    """Each generated file and what must stand in it."""
    return {
        FOLDER / "event_source_mappings.tf.json": _text(event_source_mappings.terraform(TRIGGERS)),
        FOLDER / "alarms.tf.json": _text(alarms.terraform(alarms.ALARMS)),
    }


def main() -> None:
    """Write every file anew."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        say(f"written: {path.name}")


def _text(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()

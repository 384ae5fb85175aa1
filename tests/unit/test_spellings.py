"""What must stand once in the code: patterns of ids, the reader of UUIDs, base64 for JSON."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The emulator knows nothing of the service, and what reads its own ids back knows their form.
SOURCES = [
    file
    for folder in ("chalicelib", "infra", "orders_app")
    for file in (ROOT / folder).rglob("*.py")
    if "esm" not in file.relative_to(ROOT).parts
]
HOME = "wire.py"


def users(pattern: str) -> set[str]:
    return {file.name for file in SOURCES if re.search(pattern, file.read_text())}


def test_what_ids_of_others_consist_of_stands_once() -> None:
    assert users(re.escape("A-Za-z0-9_.:@|-")) == {HOME}


def test_texts_of_others_become_uuids_in_one_place() -> None:
    # In `outcomes` a command's id is given its type, in `examples` they are literals, and the stores read what our tables answer as JSON.
    ours = {"outcomes.py", "examples.py", "store.py", "outbox.py", "partner_ids.py", "grow.py"}
    assert users(r"\bUUID\((?!int=|bytes=)") == {HOME, *ours}


def test_bytes_that_may_be_absent_become_base64_in_one_place() -> None:
    assert users(r"None if \w+ is None else b(inascii\.b2a_base64|ase64\.b64encode)") == {HOME}

"""The published documents are files: made from the code, packaged with it, and served as they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from chalicelib.entrypoints import documents
from chalicelib.entrypoints.http import Request
from infra.documents.__main__ import files

ROOT = Path(__file__).parents[2]
ROUTES = {"openapi.json": documents.openapi, "asyncapi.json": documents.asyncapi, "docs.html": documents.docs}


def test_the_files_say_what_the_code_does() -> None:
    made = files()
    assert {file.name for file in documents.FOLDER.iterdir() if file.is_file()} == set(made)
    for name, text in made.items():
        # Not as one comparison, whose report would be a document long.
        stale = (documents.FOLDER / name).read_text(encoding="utf-8") != text
        assert not stale, f"chalicelib/static/{name} is stale: run `make declare`"


def test_they_are_the_same_in_every_process() -> None:
    program = "import json; from infra.documents.__main__ import files; print(json.dumps(files()))"
    for seed in ("1", "2"):
        printed = subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        assert json.loads(printed.stdout) == files()


@pytest.mark.parametrize("name", ROUTES)
def test_each_is_served_byte_for_byte(name: str) -> None:
    answer = ROUTES[name](Request("GET", f"/{name}", {}, {}, b"", {}, "corr-1"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        200,
        "text/html; charset=utf-8" if name == "docs.html" else "application/json",
    )
    assert answer.body.encode() == (documents.FOLDER / name).read_bytes()


def test_they_are_in_the_package_for_lambda() -> None:
    osutils = OSUtils()
    packager = LambdaDeploymentPackager(osutils, DependencyBuilder(osutils), UI())

    packed = {inside for _, inside in packager._iter_chalice_lib_if_needed(str(ROOT / "orders_app"))}

    assert {f"chalicelib/static/{name}" for name in ROUTES} <= packed

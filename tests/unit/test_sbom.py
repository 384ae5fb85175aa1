"""The bill of materials names what is in the package, and is the CycloneDX that scanners read."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra.aws import archive, sbom
from tests.support.image import ROOT, required

SHIPPED = list(required(ROOT / "orders_app" / "requirements.txt"))
LIBRARY = (ROOT / sbom.LIBRARY).read_bytes()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with what installed distributions say of themselves, and with the console's library."""
    file = tmp_path_factory.mktemp("package") / "deployment.zip"
    with zipfile.ZipFile(file, "w") as content:
        content.writestr(sbom.LIBRARY, LIBRARY)
        for each in SHIPPED:
            found = distribution(each.name)
            content.writestr(f"{found.name.replace('-', '_')}-{found.version}.dist-info/METADATA", found.read_text("METADATA") or "")
    return file


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for each in SHIPPED:
        found = distribution(each.name)
        (folder / f"{found.name.replace('-', '_')}-{found.version}-cp311-cp311-any.whl").write_text(found.name)
    return folder


@pytest.fixture(scope="module")
def bill(package: Path, wheels: Path) -> Any:
    return json.loads(sbom.bill(package, wheels, "1.2.3"))


def licences(component: dict[str, Any]) -> Iterator[str]:
    for each in component["licenses"]:
        yield each.get("expression") or each["license"].get("id") or each["license"]["name"]


def test_it_keeps_to_the_schema_of_cyclonedx_1_6(bill: Any) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)

    assert validator.validate_str(json.dumps(bill)) is None
    assert bill["specVersion"] == "1.6"
    assert validator.validate_str(json.dumps({**bill, "components": [{"name": "one"}]})) is not None


def test_it_names_every_pinned_distribution_with_version_licence_and_hash(bill: Any) -> None:
    named = {re.sub(r"[-_.]+", "-", each["name"]).lower(): each for each in bill["components"]}

    assert len(named) == len(SHIPPED) + len({"chalice", "htm"})
    for each in SHIPPED:
        component = named[re.sub(r"[-_.]+", "-", each.name).lower()]
        assert f"=={component['version']}" == str(each.specifier)
        assert component["purl"] == f"pkg:pypi/{each.name.lower().replace('_', '-')}@{component['version']}"
        assert all(licences(component))
        [digest] = component["hashes"]
        assert digest == {"alg": "SHA-256", "content": hashlib.sha256(component["name"].encode()).hexdigest()}


def test_it_names_what_is_no_distribution_chalices_runtime_and_the_consoles_library(bill: Any) -> None:
    [chalice] = [each for each in bill["components"] if each["name"] == "chalice"]
    [library] = [each for each in bill["components"] if each["name"] == "htm"]

    assert (chalice["version"], list(licences(chalice))) == (distribution("chalice").version, ["Apache Software License"])
    assert (library["version"], library["purl"], list(licences(library))) == ("3.1.1", "pkg:npm/htm@3.1.1", ["Apache-2.0 AND MIT"])
    assert library["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(LIBRARY).hexdigest()}]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("orjson", ["MPL-2.0 AND (Apache-2.0 OR MIT)"]),
        ("six", ["MIT"]),
        ("python-dateutil", ["Apache Software License", "BSD License"]),
    ],
)
def test_a_licence_is_an_expression_an_id_or_what_the_classifiers_say(bill: Any, name: str, said: list[str]) -> None:
    [component] = [each for each in bill["components"] if each["name"] == name]
    assert list(licences(component)) == said


def test_it_is_that_of_the_service_and_of_everything_in_it(bill: Any) -> None:
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == ("campusg-orders", "1.2.3")
    [needed] = [each["dependsOn"] for each in bill["dependencies"] if each["ref"] == "campusg-orders"]
    assert sorted(needed) == sorted(each["bom-ref"] for each in bill["components"])


def test_the_same_content_is_the_same_bytes_and_another_has_another_number(package: Path, wheels: Path, bill: Any) -> None:
    assert sbom.bill(package, wheels, "1.2.3") == sbom.bill(package, wheels, "1.2.3")
    assert json.loads(sbom.bill(package, wheels, "1.2.4"))["serialNumber"] != bill["serialNumber"]


def test_it_is_put_into_the_package(package: Path, tmp_path: Path) -> None:
    archive.seal(package, tmp_path / "out.zip", {sbom.NAME: b"{}"})

    with zipfile.ZipFile(tmp_path / "out.zip") as sealed:
        assert sealed.read(sbom.NAME) == b"{}"

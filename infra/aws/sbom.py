"""What is in the package, as a bill of materials: CycloneDX 1.6 in JSON, which scanners of vulnerabilities and licences read."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.exceptions import InvalidSpdxLicenseException
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

NAME = "sbom.cdx.json"
# What is part of the package without being a distribution of Python: the console's library, as its first line says.
LIBRARY = "chalicelib/static/console/preact-htm.js"
LIBRARY_NAME = re.compile(r"/\* (\w+) (\S+) \(Apache License 2\.0, .*\) with Preact built in \(MIT, ")
LIBRARY_LICENCE = "Apache-2.0 AND MIT"

_licences = LicenseFactory()


def bill(package: Path, wheels: Path, version: str) -> bytes:
    """The bill of a package of this version whose distributions came from `wheels`; the same bytes for the same content."""
    bom = Bom()
    service = Component(name="campusg-orders", version=version, type=ComponentType.APPLICATION, bom_ref="campusg-orders")
    bom.metadata.component = service
    components = [*_distributions(package, wheels), _library(package)]
    bom.components.update(components)
    bom.register_dependency(service, components)
    made = json.loads(JsonV1Dot6(bom).output_as_string())
    # They would be others each time.
    del made["metadata"]["timestamp"], made["serialNumber"]
    content = json.dumps(made, sort_keys=True)
    return json.dumps({**made, "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, content)}"}, indent=1, sort_keys=True).encode()


def _distributions(package: Path, wheels: Path) -> Iterator[Component]:
    files = {_key(*file.name.split("-")[:2]): file for file in sorted(wheels.glob("*.whl"))}
    for each in distributions(path=[str(package)]):
        wheel = files[_key(each.name, each.version)]
        yield _component(each, [HashType(alg=HashAlgorithm.SHA_256, content=_sha256(wheel.read_bytes()))])
    # Its runtime is copied from where it is installed.
    yield _component(distribution("chalice"), [])


def _component(found: Distribution, hashes: Iterable[HashType]) -> Component:
    url = PackageURL("pypi", None, found.name.lower().replace("_", "-"), found.version)
    return Component(
        name=found.name,
        version=found.version,
        type=ComponentType.LIBRARY,
        licenses=list(_licences_of(found)),
        purl=url,
        bom_ref=url.to_string(),
        hashes=hashes,
    )


def _licences_of(found: Distribution) -> Iterator[License]:
    """As the distribution says it: an expression, or the name of one, or, where its words are neither, the classifiers."""
    metadata = found.metadata
    said = metadata["License-Expression"] or metadata["License"] or ""
    named = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    if metadata["License-Expression"]:
        yield _licences.make_from_string(said)
        return
    try:
        yield _licences.make_with_id(said)
    except InvalidSpdxLicenseException:
        for name in named or [said]:
            yield _licences.make_with_name(name)


def _library(package: Path) -> Component:
    with zipfile.ZipFile(package) as content:
        file = content.read(LIBRARY)
    found = LIBRARY_NAME.match(file.decode())
    if found is None:
        raise ValueError(f"{LIBRARY} does not say what it is")
    name, version = found.groups()
    url = PackageURL("npm", None, name, version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        licenses=[_licences.make_with_expression(LIBRARY_LICENCE)],
        purl=url,
        bom_ref=url.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(file))],
    )


def _key(name: str, version: str) -> tuple[str, str]:
    """A distribution by its name, however that is spelled, and its version."""
    return re.sub(r"[-_.]+", "-", name).lower(), version


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

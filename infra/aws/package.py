"""`make package`: what is deployed, as files. Nothing of AWS is asked for it, only the registry of Python's packages."""

import asyncio
import hashlib
import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from chalice.deploy.packager import NoSuchPackageError, PackageDownloadError

from chalicelib.entrypoints.health import VERSION
from chalicelib.errors import SettingsError
from infra.aws import archive, chalice_project, data, sbom, wheels
from infra.aws.chalice_project import ARCHITECTURES, PROJECT
from infra.console import complain, progress, say

FOLDER = Path(__file__).resolve().parents[2] / ".build"
FILES = ("deployment.zip", "service.json", "data.json", sbom.NAME)
# Lambda developer guide, runtimes: when AWS begins to refuse new functions of it.
DEPRECATED = {"3.11": "2027-06-30", "3.12": "2028-10-31", "3.13": "2029-06-30", "3.14": "2029-06-30"}
AUTHORITIES = PROJECT / "vendor" / "rds-global-bundle.pem"
PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")
# What Lambda's Python has, or nobody needs there.
UNWANTED = ("boto3", "botocore")


class PackageError(Exception):
    """The package can't be made; the message says why."""


def main() -> int:
    """Make the package for ARCH and say where it is; return the exit code."""
    architecture = os.environ.get("ARCH") or ARCHITECTURES[0]
    if architecture not in ARCHITECTURES:
        raise SettingsError(f"ARCH must be one of {', '.join(ARCHITECTURES)}, not {architecture}")
    try:
        asyncio.run(make(architecture, FOLDER))
    except PackageError as error:
        complain(f"make package: {error}")
        return 1
    return 0


async def make(architecture: str, folder: Path) -> None:
    """Write the files of FILES into the folder, saying how far it is; raises PackageError."""
    say(f"packaging for Python {_version()} on {architecture}; {support(_version())}")
    if not AUTHORITIES.exists():
        say(f"without {AUTHORITIES.relative_to(PROJECT.parent)} (RDS's authorities, from AWS) the function make_roles can't connect")
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        async with progress("fetching packages, each file by its hash"):
            wheels_folder = await asyncio.to_thread(_wheels, architecture)
        async with progress("packaging"):
            await asyncio.to_thread(_chalice, architecture, wheels_folder, made)
        async with progress("compiling"):
            bill = sbom.bill(made / "deployment.zip", wheels_folder, VERSION)
            await asyncio.to_thread(_seal, made / "deployment.zip", folder / "deployment.zip", {sbom.NAME: bill})
        (folder / sbom.NAME).write_bytes(bill)
        (folder / "service.json").write_text(_text(json.loads((made / "sam.json").read_text(encoding="utf-8"))), encoding="utf-8")
    (folder / "data.json").write_text(_text(data.template()), encoding="utf-8")
    for name in FILES:
        say(f"  {folder / name}  {(folder / name).stat().st_size:,} bytes")


def key_of(package: Path) -> str:
    """The key under which a package lies in its bucket: another one for other content, so that an update is seen as such."""
    return f"campusg-orders-{hashlib.sha256(package.read_bytes()).hexdigest()[:16]}.zip"


def lacking(requirements: str, files: Iterable[str]) -> list[str]:
    """The pinned requirements that are not among the files of a package: Chalice leaves out what it finds no wheel for, and goes on."""
    there = {found[1].replace("_", "-").lower() for name in files if (found := re.match(r"([^/]+)\.dist-info/", name))}
    pinned = [f"{name.replace('_', '-').lower()}-{version}" for name, version in PINNED.findall(requirements)]
    return sorted(set(pinned) - there)


def _wheels(architecture: str) -> Path:
    try:
        return wheels.fetch(architecture)
    except wheels.WheelError as error:
        raise PackageError(
            f"{error}\nEither the registry of Python's packages can't be reached, or it has other files than `make lock` has found"
        ) from error


def _chalice(architecture: str, wheels_folder: Path, folder: Path) -> None:
    try:
        chalice_project.package(architecture, wheels_folder, folder)
    except (NoSuchPackageError, PackageDownloadError) as error:
        raise PackageError(f"{error}; orders_app/requirements.txt names what infra/locked/functions.txt does not: make lock") from error


def _seal(package: Path, target: Path, further: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(package) as made:
        files = made.namelist()
    missing = lacking((PROJECT / "requirements.txt").read_text(encoding="utf-8"), files)
    if missing:
        raise PackageError(f"no wheel for Lambda was found of {', '.join(missing)}: pin a version that has one")
    unwanted = sorted({name.partition("/")[0] for name in files} & set(UNWANTED))
    if unwanted:
        raise PackageError(f"{', '.join(unwanted)} would be packaged: Lambda has it already; take it out of orders_app/requirements.txt")
    try:
        archive.seal(package, target, further)
    except archive.CompileError as error:
        raise PackageError(f"a file of the package can't be compiled:\n{error}") from error


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def support(version: str) -> str:
    """What is known of Lambda's runtime for this version of Python."""
    until = DEPRECATED.get(version)
    if until is None:
        return f"Lambda is not known to run it: those known are {', '.join(DEPRECATED)}"
    newest = max(DEPRECATED, key=lambda each: int(each.partition(".")[2]))
    return f"Lambda deprecates it on {until}" + ("" if version == newest else f"; for a newer one: make package PYTHON=python{newest}")


def _text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

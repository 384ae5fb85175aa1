"""The service deployed at home, as `make deploy STAGE=home` does it, and the package for that."""

import importlib.util
import os
import py_compile
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import psutil

from infra.aws.package import FOLDER
from infra.deploy.package import DATA, SERVICE, ZIP
from tests.support.stack import ROOT, environment

SOURCES = ("chalicelib", "orders_app/app.py", "orders_app/requirements.txt", "orders_app/.chalice/config.json", "infra/aws")


def current_package() -> Path:
    """The folder of `make package`, which is made anew where a source is newer: in seconds by Chalice's cache, in half a minute without."""
    made = FOLDER / DATA
    if not made.exists() or made.stat().st_mtime < max(file.stat().st_mtime for file in _sources()):
        subprocess.run([sys.executable, "-m", "infra.aws", "package"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    return FOLDER


def changed_package(folder: Path, module: str, old: str, new: str) -> Path:
    """A copy of the package with a text of one module replaced, as source and compiled; what comes later in a zip counts."""
    for name in (ZIP, SERVICE, DATA):
        shutil.copyfile(FOLDER / name, folder / name)
    with zipfile.ZipFile(folder / ZIP) as before:
        source = before.read(module).decode()
    assert old in source
    (folder / "module.py").write_text(source.replace(old, new))
    compiled = importlib.util.cache_from_source(module)
    py_compile.compile(
        str(folder / "module.py"), str(folder / "module.pyc"), module, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    with warnings.catch_warnings(), zipfile.ZipFile(folder / ZIP, "a") as after:
        warnings.filterwarnings("ignore", "Duplicate name")
        after.write(folder / "module.py", module)
        after.write(folder / "module.pyc", compiled)
    return folder


def deploy_command(command: str, data_dir: Path, **variables: object) -> "subprocess.CompletedProcess[str]":
    """Run `make deploy` or `make undeploy` of stage home to its end."""
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy", command],
        cwd=ROOT,
        env={**environment(data_dir, **variables), "STAGE": "home"},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
        timeout=240,
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that name the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


def _sources() -> list[Path]:
    paths = [ROOT / name for name in SOURCES]
    return [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.[pj][ys]*")) if "__pycache__" not in file.parts]

"""The package as Lambda gets it: compiled, and the same bytes for the same content."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# Where Lambda unpacks it, which is what tracebacks name.
TASK = "/var/task"
# The first that a zip can have.
DATE = (1980, 1, 1, 0, 0, 0)
READABLE = 0o100644


class CompileError(Exception):
    """Python can't compile a file of the package."""


def seal(package: Path, target: Path, further: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Write the files of a zip with their compiled modules, and further files, into another.

    Lambda's file system is read-only, so without them each new container would compile all that it imports. They are never compared
    with their sources (PEP 552, unchecked), as files of Lambda have dates of their own. Raises CompileError.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(package) as source:
            # Chalice takes along what this machine has compiled, also of files that are gone and for other Pythons.
            source.extractall(folder, [name for name in source.namelist() if not name.endswith(".pyc")])
        for name, content in further.items():
            (folder / name).write_bytes(content)
        _compile(folder)
        write(folder, target)


def write(folder: Path, target: Path) -> None:
    """Zip all files of the folder: sorted, without their dates and modes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = READABLE << 16
            archive.writestr(entry, file.read_bytes())


def _compile(folder: Path) -> None:
    """Compile in a process of its own: what else a process holds shows in what it writes (reference counts, in marshal's format)."""
    options = ["-q", "-j", "1", "-s", str(folder), "-p", TASK, "--invalidation-mode", "unchecked-hash"]
    command = [sys.executable, "-I", "-S", "-m", "compileall", *options, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CompileError(result.stdout + result.stderr)

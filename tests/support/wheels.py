"""Wheels made on the spot."""

import hashlib
import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, text: str = "") -> Path:
    """A pure wheel of version 1 with one module, which has this text."""
    info = f"{name}-1.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr(f"{name}.py", text)
        content.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        content.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


def locked(*wheels: Path) -> str:
    """The lines that pin these wheels by their hashes."""
    return "".join(
        f"{wheel.name.partition('-')[0]}==1 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n" for wheel in wheels
    )

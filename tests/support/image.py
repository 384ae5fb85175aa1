"""docker-compose.yml and the image of infra/docker/Dockerfile, as far as there can be containers without an engine.

A folder has the files that the Dockerfile copies, and links to the packages that it installs. The services' commands run in it, in their
own environment, by a Python that sees nothing else.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from tests.support.packages import link

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"
REQUIREMENTS = DOCKERFILE.with_name("requirements.txt")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
WORK_FOLDER = "/app"


def with_defaults(text: str) -> str:
    """The text as Compose reads it where no variable is set."""
    return VARIABLE.sub(lambda match: match[2], text)


def services() -> dict[str, Any]:
    """The services of docker-compose.yml where no variable is set."""
    found: dict[str, Any] = yaml.safe_load(with_defaults(COMPOSE.read_text()))["services"]
    return found


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with what stands behind it."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def copied() -> list[tuple[str, str]]:
    """What the Dockerfile copies: each path in the repository and in the image's work folder."""
    return [(source, target) for source, target in (rest.split() for word, rest in instructions() if word == "COPY")]


def is_left_out(path: str) -> bool:
    """Whether .dockerignore keeps a path of the repository from the engine: of the rules for it or a folder above it the last counts."""
    left_out = False
    parts = path.split("/")
    for rule in (line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")):
        pattern, anywhere = rule.removeprefix("!").removeprefix("**/"), "**/" in rule
        tried = ("/".join(parts[start:end]) for start in range(len(parts) if anywhere else 1) for end in range(start + 1, len(parts) + 1))
        if any(fnmatch(each, pattern) and each.count("/") == pattern.count("/") for each in tried):
            left_out = not rule.startswith("!")
    return left_out


def required(file: Path = REQUIREMENTS) -> Iterator[Requirement]:
    """What a file of requirements names, and the files that it includes."""
    for line in (line for line in file.read_text().splitlines() if line and not line.startswith("#")):
        option, _, other = line.partition(" ")
        if option == "-r":
            yield from required(file.parent / other)
        elif option != "-c":
            yield Requirement(line)


@dataclass(frozen=True)
class Image:
    """The image's files and packages in a folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Image":
        """Make both. Compiled files come along, as the image compiles its own."""
        image = cls(folder)
        for source, target in copied():
            (image.work_folder / target).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, image.work_folder / target, symlinks=True, ignore=_left_out, dirs_exist_ok=True)
            else:
                shutil.copy2(ROOT / source, image.work_folder / target)
        (folder / "packages").mkdir()
        link(list(required()), folder / "packages")
        (folder / "bin").mkdir()
        python = folder / "bin" / "python"
        # Without `site` it has none of the packages of the environment that it belongs to.
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
        python.chmod(0o755)
        return image

    @property
    def work_folder(self) -> Path:
        """Where its commands are run."""
        return self.folder / WORK_FOLDER.strip("/")

    @property
    def environment(self) -> dict[str, str]:
        """What every command finds in its environment."""
        own = dict(pair.split("=", 1) for word, rest in instructions() if word == "ENV" for pair in rest.split())
        path = own["PYTHONPATH"].replace(WORK_FOLDER, str(self.work_folder))
        return {**own, "PYTHONPATH": f"{path}:{self.folder / 'packages'}", "PATH": f"{self.folder / 'bin'}:{os.defpath}"}


@dataclass(frozen=True)
class Container:
    """What stands for the container of a service; `places` says what is on this machine in place of a path or an address of containers."""

    image: Image
    service: Mapping[str, Any]
    places: Mapping[str, str]

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        """Start the service's own command; what it prints goes to a file."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [self._here(word) for word in self.service["command"]],
                cwd=self.image.work_folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def execute(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run another command to its end, as `docker compose exec` does."""
        return subprocess.run(
            [self._here(word) for word in words],
            cwd=self.image.work_folder,
            env={**self._environment(), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def is_healthy(self) -> bool:
        """Whether its health check says so."""
        return self.execute(*self.service["healthcheck"]["test"][1:]).returncode == 0

    def _environment(self) -> dict[str, str]:
        given = {name: self._here(str(value)) for name, value in self.service["environment"].items()}
        return {**self.image.environment, **given}

    def _here(self, text: str) -> str:
        return re.sub("|".join(map(re.escape, self.places)), lambda found: self.places[found[0]], text)


def _left_out(folder: str, names: list[str]) -> set[str]:
    here = Path(folder).relative_to(ROOT)
    return {name for name in names if name != "__pycache__" and is_left_out(f"{here}/{name}")}

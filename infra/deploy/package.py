"""What `make package` has made, as it is deployed: nothing of it is changed here."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.aws.intrinsics import Value
from infra.aws.package import key_of
from infra.deploy.errors import DeployError

ZIP, SERVICE, DATA = "deployment.zip", "service.json", "data.json"


@dataclass(frozen=True)
class Package:
    """A folder with the zip and both templates."""

    folder: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "Package":
        """The package that lies there; raises DeployError where there is none."""
        if not all((folder / name).is_file() for name in (ZIP, SERVICE, DATA)):
            raise DeployError(f"there is no package in {folder}; make it by: make package")
        return cls(folder)

    @property
    def zip(self) -> Path:
        """What the functions run."""
        return self.folder / ZIP

    @cached_property
    def key(self) -> str:
        """The key of the zip in its bucket."""
        return key_of(self.zip)

    @cached_property
    def service(self) -> Value:
        """The service stack's template."""
        return self._read(SERVICE)

    @cached_property
    def data(self) -> Value:
        """The data stack's template."""
        return self._read(DATA)

    def function(self, name: str) -> Any:
        """What the service stack says of a function, by its logical id."""
        return self.service["Resources"][name]["Properties"]

    def _read(self, name: str) -> Value:
        template: Value = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return template

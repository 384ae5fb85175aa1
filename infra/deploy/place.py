"""What a deployment at home keeps, below DATA_DIR."""

import json
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.deploy.errors import DeployError
from infra.deploy.package import DATA, SERVICE, ZIP, Package
from infra.stack import runfile
from infra.stack.devkeys import JWKS_FILE, KEY_FILE
from infra.stack.files import make_private_folder, write_atomically


@dataclass(frozen=True)
class Place:
    """The folder `home` of a DATA_DIR: database, broker, what the functions unpack, the package that is deployed and its parameters.

    `make run` keeps its own data beside it.
    """

    data_dir: Path

    @property
    def folder(self) -> Path:
        """All of it."""
        return self.data_dir / "home"

    @property
    def emulator_folder(self) -> Path:
        """What MiniStack and its functions write."""
        return self.folder / "ministack"

    def renew_emulator_folder(self) -> None:
        """Make the emulator's folder, empty. What is in it, a copy of the package for each process of a function, takes minutes to remove
        on some machines: a thread does that, and nobody waits for it.
        """
        if self.emulator_folder.exists():
            left = Path(tempfile.mkdtemp(prefix="left-", dir=self.folder))
            self.emulator_folder.rename(left / self.emulator_folder.name)
            threading.Thread(target=shutil.rmtree, args=(left,), kwargs={"ignore_errors": True}, daemon=True).start()
        make_private_folder(self.emulator_folder)

    @property
    def package_folder(self) -> Path:
        """The package that is deployed."""
        return self.folder / "package"

    @property
    def mappings_file(self) -> Path:
        """The mappings that are polled."""
        return self.folder / "mappings.json"

    @property
    def metrics_file(self) -> Path:
        """What the poller counts."""
        return self.folder / "mappings-metrics.json"

    @property
    def log(self) -> Path:
        """What the supervisor says."""
        return self.folder / "deploy.log"

    @property
    def _parameters_file(self) -> Path:
        return self.folder / "parameters.json"

    @property
    def _servers_file(self) -> Path:
        return self.folder / "servers.json"

    def keep(self, package: Package, parameters: Mapping[str, str]) -> None:
        """Note what is deployed, so that it can be deployed again when the emulator has to be started anew."""
        make_private_folder(self.package_folder)
        for name in (ZIP, SERVICE, DATA):
            shutil.copyfile(package.folder / name, self.package_folder / name)
        write_atomically(self._parameters_file, json.dumps(dict(parameters), indent=2).encode())

    def parameters(self) -> dict[str, str]:
        """The parameters that were given to the last deployment, none where there is none."""
        return self._read(self._parameters_file)

    def keep_servers(self, servers: Mapping[str, Any]) -> None:
        """Note where the servers are: `port` of MiniStack, `parameters` that follow from the others."""
        write_atomically(self._servers_file, json.dumps(dict(servers), indent=2).encode())

    def servers(self) -> Mapping[str, Any]:
        """What `keep_servers` has noted; raises DeployError where it hasn't."""
        found = self._read(self._servers_file)
        if not found:
            raise DeployError(f"nothing is deployed on {self.data_dir}")
        return found

    def clear(self) -> None:
        """Remove the deployment and its data; with them DATA_DIR, unless something else is in it, as the data of `make run`."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if any((self.data_dir / name).exists() for name in ("postgres", "kafka")):
            return
        shutil.rmtree(self.data_dir / "logs", ignore_errors=True)
        for name in (runfile.LOCK_FILE, runfile.PARTS_LOCK_FILE, KEY_FILE, JWKS_FILE):
            (self.data_dir / name).unlink(missing_ok=True)
        if self.data_dir.exists() and not any(self.data_dir.iterdir()):
            self.data_dir.rmdir()

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(file.read_bytes())
        except FileNotFoundError:
            return {}
        return content

"""One release on MiniStack: the package, its stack, its tables, and functions that are awake."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from infra.aws import stages
from infra.aws.gateway import API_STAGE
from infra.console import say
from infra.deploy import functions
from infra.deploy.ministack import MiniStack, client
from infra.deploy.package import SERVICE, Package
from infra.deploy.parameters import require
from infra.deploy.resolve import mappings
from infra.deploy.stacks import Stacks
from infra.stack.devkeys import requested_token
from infra.stack.files import write_atomically

STAGE = "home"
STACK = stages.stack_name(STAGE, "service")
BUCKET = "campusg-orders-home"
READY_SECONDS = 90.0


@dataclass(frozen=True)
class Release:
    """What is deployed to which MiniStack; `mappings_file` gets the template's mappings for whoever polls Kafka."""

    ministack: MiniStack
    package: Package
    parameters: Mapping[str, str]
    mappings_file: Path

    def apply(self) -> str | None:
        """Bring it about and return the API's address, None where there was nothing to change; raises DeployError."""
        given = {"Stage": STAGE, "CodeBucket": BUCKET, "CodeKey": self.package.key, **self.parameters}
        require(self.package.service, given)
        stacks = Stacks(client("cloudformation", self.ministack.endpoint))
        applied = stacks.apply(STACK, self.package.service, self._upload(), given)
        if not applied.changed:
            return None
        write_atomically(self.mappings_file, json.dumps(mappings(self.package.service, given), indent=2).encode())
        lambda_ = client("lambda", self.ministack.endpoint)
        functions.migrate(lambda_, applied.outputs["MigrateFunction"])
        return self.ministack.api(applied.outputs["RestAPIId"], API_STAGE)

    def wait(self, api: str) -> None:
        """Return when the API is ready; raises DeployError."""
        functions.wait_until_ready(api, READY_SECONDS)

    def wake(self, api: str, data_dir: Path) -> None:
        """Have an order's functions started before somebody waits for them; raises DeployError where one fails."""
        lambda_ = client("lambda", self.ministack.endpoint)
        polled = [each["FunctionName"] for each in json.loads(self.mappings_file.read_bytes())]
        say("starting the functions of an order")
        with ThreadPoolExecutor(max_workers=2) as pool:
            # A batch without records: what Lambda never sends, and what is taken at once.
            waking = [pool.submit(functions.call, lambda_, name, {"records": {}}) for name in polled]
            self.wait(api)
            headers = {"Authorization": f"Bearer {requested_token(data_dir, 'customer', 'nobody')}"}
            requests.get(f"{api}/api/orders?limit=1", headers=headers, timeout=READY_SECONDS)
            for each in waking:
                each.result()

    def _upload(self) -> str:
        """Put the package into its bucket and return the template's address."""
        s3 = client("s3", self.ministack.endpoint)
        s3.create_bucket(Bucket=BUCKET)
        say(f"uploading {self.package.zip.name} as {self.package.key}")
        s3.upload_file(str(self.package.zip), BUCKET, self.package.key)
        s3.upload_file(str(self.package.folder / SERVICE), BUCKET, SERVICE)
        return f"{self.ministack.endpoint}/{BUCKET}/{SERVICE}"

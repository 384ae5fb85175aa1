"""Chalice's own template and package of `orders_app`, made by its library."""

import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from chalice.app import Chalice
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import BuildStage, InjectDefaults, SwaggerBuilder
from chalice.deploy.swagger import CFNSwaggerGenerator
from chalice.package import PackageOptions, ResourceBuilder, SAMTemplateGenerator, TemplateDeepMerger, create_app_packager

from infra.aws.gateway import API_STAGE
from infra.aws.intrinsics import Value
from infra.aws.service import merge_file

PROJECT = Path(__file__).resolve().parents[2] / "orders_app"
ARCHITECTURES = ("x86_64", "arm64")
# Chalice's word for what it packages for; the stage itself is a parameter of the template.
CHALICE_STAGE = "aws"


class Services(PackageOptions):
    """How services are called: the same everywhere, so that AWS need not be asked."""

    def __init__(self) -> None:
        """Nothing is connected to."""

    def service_principal(self, service: str) -> str:
        """The name under which the service takes a role or calls a function."""
        return f"{service}.amazonaws.com"


def configuration(architecture: str) -> Config:
    """Chalice's configuration for packaging `app.py`, which is imported for it."""
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"
    own = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    given = {
        "chalice_app": _application(),
        "project_dir": str(PROJECT),
        # The roles come with the merge file.
        "manage_iam_role": False,
        "iam_role_arn": "arn:aws:iam::000000000000:role/replaced",
        "api_gateway_stage": API_STAGE,
        "api_gateway_endpoint_type": "REGIONAL",
        "lambda_architecture": architecture,
    }
    return Config(CHALICE_STAGE, user_provided_params=given, config_from_disk=own)


def template(architecture: str = ARCHITECTURES[0]) -> Value:
    """The service stack's template, in milliseconds: as `package` writes it, without the package itself."""
    config = configuration(architecture)
    made = _chalice_template(config)
    merged: Value = TemplateDeepMerger().merge(merge_file(_paths(made)), made)
    return merged


def package(architecture: str, wheels: Path, folder: Path) -> None:
    """Write Chalice's package and the merged template into the folder, as deployment.zip and sam.json, by packages from `wheels` alone."""
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels.as_uri())
    _keep_only_what_was_made_of(wheels.name)
    config = configuration(architecture)
    merge = folder / "merge.json"
    merge.write_text(json.dumps(merge_file(_paths(_chalice_template(config)))), encoding="utf-8")
    packager = create_app_packager(config, Services(), "cloudformation", "json", str(merge))
    packager.package_app(config, str(folder), CHALICE_STAGE)
    merge.unlink()


def _keep_only_what_was_made_of(wheels: str) -> None:
    """Chalice takes what it has made of the same requirements before, wherever its wheels came from: keep it only where they are these."""
    made = PROJECT / ".chalice" / "deployments"
    noted = made / "wheels.txt"
    if not noted.exists() or noted.read_text(encoding="utf-8") != wheels:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        noted.write_text(wheels, encoding="utf-8")


def _application() -> Chalice:
    if str(PROJECT) not in sys.path:
        sys.path.append(str(PROJECT))
    app: Chalice = importlib.import_module("app").app
    return app


def _chalice_template(config: Config) -> Value:
    steps = BuildStage(steps=[InjectDefaults(), SwaggerBuilder(CFNSwaggerGenerator())])
    resources = ResourceBuilder(ApplicationGraphBuilder(), DependencyBuilder(), steps).construct_resources(config, CHALICE_STAGE)
    made: Value = SAMTemplateGenerator(config, Services()).generate(resources)
    return made


def _paths(made: Value) -> dict[str, Any]:
    paths: dict[str, Any] = made["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    return paths

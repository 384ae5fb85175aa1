"""A deployment that can't begin ends with a sentence that says what to do."""

import re
from pathlib import Path

import pytest

from infra.aws import package
from infra.deploy import command, ministack
from infra.deploy.errors import DeployError
from infra.deploy.package import DATA, SERVICE, ZIP
from infra.deploy.parameters import read_parameters, require
from infra.deploy.place import Place
from infra.stack.runfile import stack_lock

TEMPLATE = {"Parameters": {"JwksUrl": {"Description": "https URL of the key set"}, "LogDays": {"Default": 30}, "Stage": {}}}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell without an account; the folder of the package, with one in it that nobody could run."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "STAGE", "PARAMETERS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(package, "FOLDER", tmp_path)
    for name in (ZIP, SERVICE, DATA):
        (tmp_path / name).write_text('{"Parameters": {}}')
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "STAGE must be one of home, dev, prod\n"),
        ({"STAGE": "Dev"}, "STAGE must be one of home, dev, prod, not 'Dev'\n"),
        ({"STAGE": "dev"}, "no region is given; set AWS_DEFAULT_REGION, or AWS_PROFILE to a profile that has one\n"),
        (
            {"STAGE": "dev", "AWS_DEFAULT_REGION": "eu-west-1"},
            "no AWS credentials are found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n",
        ),
        ({"STAGE": "dev", "AWS_PROFILE": "nobody"}, "AWS can't be asked: The config profile (nobody) could not be found\n"),
    ],
)
def test_stage_region_and_credentials(
    variables: dict[str, str], said: str, shell: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert [command.deploy(), command.undeploy()] == [1, 1]
    assert capsys.readouterr().err == f"make deploy: {said}make undeploy: {said}"


def test_a_package_and_an_emulator_are_asked_for(shell: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STAGE", "home")
    monkeypatch.setattr(ministack, "PROGRAM", ministack.ROOT / ".tools/none")
    assert command.deploy() == 1
    assert capsys.readouterr().err == "make deploy: .tools/none is missing; install MiniStack by: make ministack\n"
    monkeypatch.setattr(ministack, "PROGRAM", shell / ZIP)
    (shell / SERVICE).unlink()
    assert command.deploy() == 1
    assert capsys.readouterr().err == f"make deploy: there is no package in {shell}; make it by: make package\n"
    assert not (shell / "data").exists()


def test_what_was_never_deployed_can_be_undeployed(
    shell: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STAGE", "home")
    assert command.undeploy() == 0
    assert capsys.readouterr().out == f"nothing is deployed on {shell / 'data'}\n"


@pytest.mark.parametrize(
    ("of_a_deployment", "said"),
    [(False, "`make run` runs on it, pid .*; end that by `make stop`"), (True, "is not at work yet; wait until it is, or end it by")],
)
def test_a_folder_that_is_in_use(
    of_a_deployment: bool, said: str, shell: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STAGE", "home")
    monkeypatch.setattr(ministack, "PROGRAM", shell / ZIP)
    (shell / "data" / ("home" if of_a_deployment else "postgres")).mkdir(parents=True)

    with stack_lock(shell / "data"):
        assert command.deploy() == 1

    assert re.search(said, capsys.readouterr().err)


def test_parameters_are_read_as_a_shell_reads_words() -> None:
    assert read_parameters("LogDays=7 JwksUrl='https://a b'", TEMPLATE) == {"LogDays": "7", "JwksUrl": "https://a b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LogDay=7", "no stack has a parameter 'LogDay'; is LogDays meant?"),
        ("LogDays", "PARAMETERS must be \"Name=value Name=value\", and 'LogDays' is not of that form"),
        ("LogDays='7", "PARAMETERS can't be read: No closing quotation"),
        ("Stage=other", "Stage follows from STAGE, BUCKET and the package; leave it out"),
    ],
)
def test_a_wrong_parameter_is_named(text: str, said: str) -> None:
    with pytest.raises(DeployError) as raised:
        read_parameters(text, TEMPLATE)
    assert said in str(raised.value)


def test_missing_parameters_are_asked_for_with_what_they_are_for() -> None:
    with pytest.raises(DeployError) as raised:
        require(TEMPLATE, {"Stage": "dev"})
    assert str(raised.value) == 'these parameters are missing: JwksUrl (https URL of the key set). Give them as PARAMETERS="JwksUrl=…"'


@pytest.mark.parametrize("data_of_make_run", [False, True])
def test_what_make_run_keeps_stays_when_a_deployment_goes(data_of_make_run: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("home/postgres", "logs", *(["postgres"] if data_of_make_run else [])):
        (folder / name).mkdir(parents=True)
    for name in ("stack.lock", "parts.lock", "jwt-key.pem", "jwks.json"):
        (folder / name).write_text("")

    Place(folder).clear()

    left = sorted(path.name for path in folder.iterdir()) if folder.exists() else None
    assert left == (["jwks.json", "jwt-key.pem", "logs", "parts.lock", "postgres", "stack.lock"] if data_of_make_run else None)

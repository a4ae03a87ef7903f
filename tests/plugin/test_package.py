"""What a user installs or downloads: the wheel and the sdist that hatchling builds from this tree, looked at."""

import configparser
import email
import importlib
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from hatchling.build import build_sdist, build_wheel

import pytest_lambda_telemetry

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INFO = f"pytest_lambda_telemetry-{PROJECT['version']}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    directory = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)  # a build backend builds what is in the current directory
        name = build_wheel(str(directory))
    with zipfile.ZipFile(directory / name) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of its files, from the top of the tree on."""
    directory = tmp_path_factory.mktemp("sdist")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)
        name = build_sdist(str(directory))
    with tarfile.open(directory / name) as archive:
        return {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_string(wheel.read(f"{INFO}/METADATA").decode())


def test_every_module_is_inside_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "pytest_lambda_telemetry"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if not name.startswith(INFO)} == expected
    assert {path.partition("/")[0] for path in wheel.namelist()} == {"pytest_lambda_telemetry", INFO}


@pytest.mark.parametrize(
    "name", ["py.typed", "host/shims/python/sitecustomize.py", "host/shims/node/sandbox-names.cjs"]
)
def test_files_that_are_no_modules_are_inside(wheel: zipfile.ZipFile, name: str) -> None:
    assert f"pytest_lambda_telemetry/{name}" in wheel.namelist()


def test_the_license_is_inside(wheel: zipfile.ZipFile) -> None:
    assert wheel.read(f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_whoever_downloads_the_source_can_run_all_tests(sdist: set[str]) -> None:
    """They read the README, the guide for contributors, and what CI and the hooks run."""
    folders = ("pytest_lambda_telemetry", "tests", "examples", "docs", ".ci")
    files = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    expected = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    top = {path for path in sdist if "/" not in path}
    assert sdist - top == expected
    named = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".pre-commit-config.yaml"}
    assert top == named | {".gitignore", "PKG-INFO"}  # what hatchling adds by itself


def test_pytest_finds_the_plugin(wheel: zipfile.ZipFile) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(f"{INFO}/entry_points.txt").decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "pytest11": {"lambda_telemetry": "pytest_lambda_telemetry.plugin"},
        "console_scripts": {"lambda-telemetry": "pytest_lambda_telemetry.serve.command:main"},
    }
    assert importlib.import_module(parser["pytest11"]["lambda_telemetry"]).pytest_configure


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "pytest-lambda-telemetry"
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "AWS Lambda" in metadata["Summary"]
    assert "Framework :: Pytest" in metadata.get_all("Classifier", [])
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_only_three_packages_are_needed_at_run_time(metadata: Message) -> None:
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert {one.partition(">")[0] for one in needed} == {"pytest", "freezegun", "anyio"}
    extras = {"asyncio", "respx", "time-machine", "hypothesis", "tls", "examples", "test"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras


def test_the_changelog_knows_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert changelog.index("## [Unreleased]") < changelog.index(f"## [{PROJECT['version']}]")


def test_public_names_are_sorted_and_all_there() -> None:
    names = pytest_lambda_telemetry.__all__
    assert names == sorted(names)
    assert all(getattr(pytest_lambda_telemetry, name) is not None for name in names)
    assert set(names) <= set(dir(pytest_lambda_telemetry))

"""The package as `pip install pytest-lambda-telemetry` leaves it: its wheel, what that needs, and nothing else.

No virtual environment is made: the session runs without this one's packages, and finds those that are needed in a
folder of links.
"""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def needed_by(requirements: list[str], found: dict[str, Distribution]) -> None:
    """The distributions that these need, without extras, all the way down, into `found`."""
    for requirement in map(Requirement, requirements):
        if requirement.name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[requirement.name] = distribution(requirement.name)
            needed_by(found[requirement.name].requires or [], found)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the wheel and what it needs."""
    built, packages = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("packages")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)
        wheel = built / build_wheel(str(built))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    needed: dict[str, Distribution] = {}
    (info,) = packages.glob("*.dist-info")
    needed_by(Distribution.at(info).requires or [], needed)
    for one in needed.values():
        for name in {path.parts[0] for path in one.files or [] if path.parts[0] not in ("..", "__pycache__")}:
            (packages / name).symlink_to(Path(str(one.locate_file(name))))
    return packages


def session(packages: Path, project: Path, *options: str) -> str:
    """What `pytest -W error` prints in a project, where nothing else is installed; its tests pass."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COVERAGE"))}
    environ["PYTHONPATH"] = str(packages)
    command = [sys.executable, "-S", "-m", "pytest", "-W", "error", *options]
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout.lower()
    assert done.stderr == ""
    return done.stdout


def test_a_project_without_async_tests_gets_no_warning(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
from pytest_lambda_telemetry import events


def test_without_the_fixture():
    assert True


def test_with_it(lambda_telemetry):
    lambda_telemetry.register()
    lambda_telemetry.emit(events.function("hello"))
    lambda_telemetry.advance(seconds=1)
    lambda_telemetry.shutdown()


def test_under_freezegun(lambda_telemetry_factory):
    with lambda_telemetry_factory(clock="freezegun") as environment:
        environment.advance(seconds=1)


def test_what_only_extras_bring_is_not_there():
    for name in ("pytest_asyncio", "respx", "httpx", "time_machine", "hypothesis", "trustme"):
        try:
            __import__(name)
        except ImportError:
            continue
        raise AssertionError(name)
"""
    )
    printed = session(packages, tmp_path)
    (plugins,) = (line for line in printed.splitlines() if line.startswith("plugins: "))
    names = {one.rpartition("-")[0] for one in plugins.removeprefix("plugins: ").split(", ")}
    assert names == {"lambda-telemetry", "anyio"}


def test_async_tests_need_no_extra(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
import pytest
from pytest_lambda_telemetry import events


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_with_the_fixture(async_lambda_telemetry):
    async_lambda_telemetry.register()
    await async_lambda_telemetry.emit(events.function("hello"))
    await async_lambda_telemetry.advance(seconds=1)
"""
    )
    assert "1 passed" in session(packages, tmp_path)

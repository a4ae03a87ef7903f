"""The server as one file that needs nothing but Python, made as docs/server.md says."""

import json
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

import pytest_lambda_telemetry
from tests.support.programs import program
from tests.support.server import TIMEOUT, Client, Running

PACKAGE = Path(pytest_lambda_telemetry.__file__).parent


@pytest.mark.parametrize("no_namespaces", ["", "1"])
def test_it_serves_and_starts_extensions(tmp_path: Path, no_namespaces: str) -> None:
    app, temporary = tmp_path / "app", tmp_path / "temporary"
    temporary.mkdir()
    shutil.copytree(PACKAGE, app / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    made = tmp_path / "lambda-telemetry.pyz"
    zipapp.create_archive(app, made, main="pytest_lambda_telemetry.serve.command:main")
    shutil.rmtree(app)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(made), "serve"],  # without any installed package
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTEST_LAMBDA_TELEMETRY_NO_NAMESPACES": no_namespaces, "TMPDIR": str(temporary)},
    )
    assert process.stdout
    server = Running(process, json.loads(process.stdout.readline()))
    with server.client() as client:
        begin(client, tmp_path)
    assert server.end() == (0, "", "")
    assert list(temporary.iterdir()) == []


def begin(client: Client, folder: Path) -> None:
    body = 'me = register("ext.py")\nsubscribe(me, serve(), ["function"])\nuntil_shutdown(me)\n'
    client.do("run_extension", argv=program(folder, body))
    client.do("wait_until_ready", timeout=TIMEOUT)
    client.do("invoke", logs=["a line"])
    assert client.read("records") == ["a line"]
    client.do("end")

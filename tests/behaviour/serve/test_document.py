"""docs/server.md and the command's help: their sessions are run, their tables are complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lambda_telemetry.serve.control import ERRORS
from pytest_lambda_telemetry.serve.members import BACKEND, ENVIRONMENT
from tests.support.programs import program
from tests.support.server import COMMAND, TIMEOUT

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/server.md").read_text(encoding="utf-8")
EXTENSION = """
from urllib.request import urlopen
me = register("my-extension")
subscribe(me, serve(lambda batch: urlopen(os.environ["INTAKE_URL"], json.dumps(batch).encode())), ["function"], 30_000)
until_shutdown(me)
"""
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]


def run(commands: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a session in bash, in a folder with the command and an extension."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "lambda-telemetry").write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest_lambda_telemetry "$@"\n')
    written = Path(program(programs, EXTENSION, name="my-extension")[1])
    written.write_text(f"#!{sys.executable}\n{written.read_text()}")
    for one in programs.iterdir():
        one.chmod(0o755)
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", commands + "\nkill $!; wait $!"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)}: not installed")
def test_the_session_of_the_document(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    outputs = re.findall(r"^```text\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    done = run("".join(blocks), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for output in outputs:
        assert output in done.stdout


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)}: not installed")
def test_the_session_of_the_help(tmp_path: Path) -> None:
    text = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    session = text.partition("a whole session")[2].partition("\n")[2].partition("exit codes")[0]
    done = run(session, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def test_every_call_and_every_error_is_in_the_document() -> None:
    words = set(re.findall(r"\w+", DOCUMENT))
    assert words >= ENVIRONMENT.kinds.keys() | ENVIRONMENT.left_out.keys() | BACKEND.kinds.keys() - {"ca_file", "host"}
    told = set(re.findall(r"`([\w-]+)`", DOCUMENT.partition("Errors are")[2].partition("\n\nCalls")[0]))
    ours = {name for status, name in ERRORS.items() if status not in (414, 431, 500, 505)}
    assert told >= ours


def test_what_the_document_leads_to_exists() -> None:
    for path in re.findall(r"\]\((\.\./[^)]+)\)", DOCUMENT):
        assert (ROOT / "docs" / path).exists()
    anchors = ["#" + line.lstrip("# ").lower().replace(" ", "-") for line in DOCUMENT.splitlines() if line[:1] == "#"]
    for anchor in re.findall(r"\]\((#[^)]+)\)", DOCUMENT):
        assert anchor in anchors

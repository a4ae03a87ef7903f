"""Tests in JavaScript, with node:test, of an extension in JavaScript: the server has the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NODE = shutil.which("node")
HERE = Path(__file__).parent


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_tests_in_javascript_pass() -> None:
    assert NODE
    server = f"{sys.executable} -m pytest_lambda_telemetry"
    command = [NODE, "--test", str(HERE / "extension.test.mjs")]
    done = subprocess.run(command, env={**os.environ, "LAMBDA_TELEMETRY": server}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 3" in done.stdout or "pass 3" in done.stdout

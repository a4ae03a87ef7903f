"""Every block of the README is run: tests pass, failures print what it says, commands are those that CI calls.

A comment `<!-- run: NAME [FILE] -->` before a Python block names the test directory it belongs to and the file it is
there; `<!-- output: NAME, with OLD replaced by NEW -->` before a text block says how that test comes to fail.
"""

import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from pytest_lambda_telemetry import Script, Settings, events
from tests.support import readme_tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXTENSION = (ROOT / "examples/python_http/extension.py").read_text()
PROGRAM = (ROOT / "examples/child_process/extension.py").read_text()

BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
BLOCKS = [(match["language"], match["note"] or "", match["text"]) for match in BLOCK.finditer(README)]

IMPORTS = "import urllib.error\nimport pytest\nfrom pytest_lambda_telemetry import events\n"
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

@pytest.fixture
def uri(lambda_telemetry):
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://sandbox.localdomain:{server.server_port}"
        server.shutdown()
        thread.join()
"""


def suites() -> dict[str, dict[str, str]]:
    """Each test directory's files."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for language, note, text in BLOCKS:
        if language == "python":
            assert note.startswith("run: "), f"this block does not say how it is run:\n{text}"
            name, *file = note.removeprefix("run: ").split()
            found[name][file[0] if file else "test_readme_block.py"] = text if file else IMPORTS + text
    return dict(found)


def outputs() -> list[tuple[str, str, str, str]]:
    """What a failing test prints: its name, what is replaced in its extension by what, and the text."""
    found = []
    for language, note, text in BLOCKS:
        if language == "text":
            match = re.fullmatch(r"output: (\w+), with (.*) replaced by (.*)", note)
            assert match, f"this output does not say where it comes from:\n{text}"
            found.append((match[1], match[2], match[3], text))
    return found


def without_ports(text: str) -> list[str]:
    return re.sub(r"sandbox\.localdomain:\d+", "sandbox.localdomain:PORT", text).splitlines()


def run(pytester: pytest.Pytester, extension: str, *names: str) -> pytest.RunResult:
    """Run some of the README's tests in a process of their own, with `extension` as my_extension.py."""
    pytester.makepyfile(conftest=CONFTEST, my_extension=extension)
    for name in names:
        directory = pytester.mkdir(f"readme_{name}")  # "time" alone would hide the standard library's
        for file, text in suites()[name].items():
            (directory / file).write_text(text)
        program = directory / "bin" / "my-extension"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(0o755)
    options = ["--import-mode=importlib", "-o", "pythonpath=.", "-o", "asyncio_default_fixture_loop_scope=function"]
    return pytester.runpytest_subprocess(*options)


def test_every_block_passes(pytester: pytest.Pytester) -> None:
    sources = [text for files in suites().values() for text in files.values()]
    expected = sum(len(re.findall(r"^(?:async )?def test_", text, re.MULTILINE)) for text in sources)
    run(pytester, EXTENSION, *suites()).assert_outcomes(passed=expected)


@pytest.mark.parametrize(("name", "old", "new", "text"), outputs())
def test_failure_prints_what_is_shown(pytester: pytest.Pytester, name: str, old: str, new: str, text: str) -> None:
    assert EXTENSION.count(old) == 1
    result = run(pytester, EXTENSION.replace(old, new), name)
    assert result.parseoutcomes()["failed"] == 1
    printed = iter(without_ports(result.stdout.str()))
    for line in text.splitlines():
        assert line in printed, f"not printed, or not after the line above it: {line!r}"


def test_a_complete_test_is_visible_by_line_25() -> None:
    lines = README.splitlines()
    assert lines.index("```", lines.index("```python")) < 25


def test_commands_are_those_that_ci_calls() -> None:
    script = (ROOT / ".ci/run").read_text()
    commands = [text.strip() for language, _, text in BLOCKS if language == "console"]
    assert len(commands) == 2
    for command in commands:
        assert f"\n{command}\n" in script


def test_every_builder_script_and_file_named_exists_and_none_is_missing() -> None:
    table = README.partition("## Events and scripts")[2].partition("## Fidelity")[0]
    rows = table.partition("| when |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", rows)) == sorted(events.__all__)
    for name in re.findall(r"Script\.(\w+)", README):
        assert hasattr(Script, name)
    for path in re.findall(r"\]\((?!https:|#)([^)]+)\)", README):
        assert (ROOT / path).exists()
    anchors = [
        "#" + re.sub(r"[^\w\s-]", "", line[3:].lower()).strip().replace(" ", "-") for line in README.splitlines()
    ]
    for anchor in re.findall(r"\]\((#[^)]+)\)", README):
        assert anchor in anchors


def test_the_table_of_the_profiles_is_made_from_the_code() -> None:
    assert readme_tables.made_anew(README) == README, f"the README is not what the code says: {readme_tables.COMMAND}"


def test_the_oldest_versions_of_other_libraries_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = README.partition("| library | installed with |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([\w-]+) ([\d.]+) \| (?:this package|the extra `([\w-]+)`)", table, re.MULTILINE)
    stated = {extra: {f"{name}>={version}" for name, version, where in rows if where == extra} for _, _, extra in rows}
    assert stated.pop("") == set(project["dependencies"])
    assert stated.keys() == {"asyncio", "respx", "time-machine", "hypothesis", "tls"}
    for extra, libraries in stated.items():
        assert libraries <= set(project["optional-dependencies"][extra])


def test_every_setting_named_in_a_marker_exists() -> None:
    for options in re.findall(r"@pytest\.mark\.lambda_telemetry\((\w+)=", README):
        assert hasattr(Settings(), options)

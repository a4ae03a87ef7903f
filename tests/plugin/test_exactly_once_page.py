"""Every block of docs/exactly-once.md is run: tests pass, the failure prints what the page says; links lead somewhere.

A comment `<!-- run: NAME [FILE] -->` says which test directory a Python block belongs to, and which file it is there.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.plugin.test_readme import BLOCK

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/exactly-once.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [(match["language"], match["note"] or "", match["text"]) for match in BLOCK.finditer(TEXT)]
PROGRAM = (ROOT / "examples/exactly_once/extension.py").read_text(encoding="utf-8")
FLUSHES = "        flush()\n"
FORGETS = "        if len(waiting) > 100:\n            flush()\n"


def suites() -> dict[str, dict[str, str]]:
    """Each test directory's files."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for language, note, text in BLOCKS:
        if language == "python":
            assert note.startswith("run: "), f"this block does not say how it is run:\n{text}"
            name, *file = note.removeprefix("run: ").split()
            found[name][file[0] if file else "test_block.py"] = text
    return dict(found)


def run(pytester: pytest.Pytester, program: str, *names: str) -> pytest.RunResult:
    """Run some of the page's tests in a process of their own, with `program` as bin/my-extension."""
    pytester.makeconftest((ROOT / "examples/conftest.py").read_text(encoding="utf-8"))  # `listen`
    for name in names:
        directory = pytester.mkdir(f"page_{name}")
        for file, text in suites()[name].items():
            (directory / file).write_text(text, encoding="utf-8")
        executable = directory / "bin" / "my-extension"
        executable.parent.mkdir()
        executable.write_text(f"#!{sys.executable}\n{program}", encoding="utf-8")
        executable.chmod(0o755)
    options = ["--import-mode=importlib", "-o", "asyncio_default_fixture_loop_scope=function"]
    return pytester.runpytest_subprocess(*options)


def test_every_block_passes(pytester: pytest.Pytester) -> None:
    sources = [text for files in suites().values() for text in files.values()]
    expected = sum(len(re.findall(r"^def test_", text, re.MULTILINE)) for text in sources)
    run(pytester, PROGRAM, *suites()).assert_outcomes(passed=expected)


def test_the_failure_prints_what_is_shown(pytester: pytest.Pytester) -> None:
    ((_, note, text),) = [block for block in BLOCKS if block[0] == "text"]
    assert PROGRAM.count(FLUSHES) == 1
    result = run(pytester, PROGRAM.replace(FLUSHES, FORGETS), note.removeprefix("output: "))
    assert result.parseoutcomes() == {"failed": 1}
    printed = [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E  ")]
    assert [line.strip() for line in text.splitlines()] == [printed[0].removeprefix("AssertionError: "), *printed[1:]]


def test_what_is_replaced_is_a_script() -> None:
    """It is not run: there is no such image. The shell finds no error in it."""
    ((_, _, script),) = [block for block in BLOCKS if block[0] == "sh"]
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    assert {language for language, _, _ in BLOCKS} == {"sh", "python", "text"}


def test_every_file_named_exists() -> None:
    for path in re.findall(r"\]\((?!https:|#)([^)]+)\)", TEXT):
        assert (PAGE.parent / path).exists(), path

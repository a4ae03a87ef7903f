"""CONTRIBUTING.md is right: its commands are the README's, what it names exists, and no room is left out.

The hooks that run before a commit are checks that CI runs too.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.plugin.test_architecture import ALLOWED, PACKAGE
from tests.plugin.test_readme import BLOCK, README as README_TEXT

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SCRIPT = (ROOT / ".ci/run").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([^`\n]+)`", GUIDE)))

PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|toml|yaml))|\.ci/run")
CODE = re.compile(r"([A-Z]\w+)(?:\.(\w+))?|(\w+)\(\)")
"""A class with or without a member, a table in capitals, a function."""


def commands(text: str) -> list[str]:
    return [match["text"].strip() for match in BLOCK.finditer(text) if match["language"] == "console"]


def paths() -> list[str]:
    words = chain.from_iterable(name.split() for name in NAMED)
    return sorted({word for word in words if PATH.fullmatch(word)})


def definitions() -> dict[str, set[str]]:
    """What modules of the package and of the tests define, by name, with the members of each class."""
    found: dict[str, set[str]] = {}
    for path in chain((ROOT / PACKAGE).rglob("*.py"), (ROOT / "tests").rglob("*.py")):
        for name, node in defined(ast.parse(path.read_text(encoding="utf-8"))):
            inside = defined(node) if isinstance(node, ast.ClassDef) else ()
            found.setdefault(name, set()).update(member for member, _ in inside)
    return found


def defined(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.stmt]]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def test_the_commands_are_those_of_the_readme() -> None:
    assert len(commands(README_TEXT)) == 2
    assert commands(GUIDE) == commands(README_TEXT)


def test_the_readme_leads_here() -> None:
    assert "](CONTRIBUTING.md)" in README_TEXT


@pytest.mark.parametrize("path", paths())
def test_every_path_exists(path: str) -> None:
    assert any((top / path).exists() for top in (ROOT / PACKAGE, ROOT))


def test_paths_are_recognized() -> None:
    assert {"engine/run.py", "sandbox/", "tests/rules/", "README.md", ".ci/run", ".pre-commit-config.yaml"} <= {
        *paths()
    }


def test_every_name_in_code_exists() -> None:
    found = definitions()
    names = [match for name in NAMED if not PATH.fullmatch(name) and (match := CODE.fullmatch(name))]
    for match in names:
        owner, member = match[1] or match[3], match[2]
        assert owner in found, match[0]
        assert member is None or member in found[owner], match[0]
    assert {"Engine.emit", "ADDED", "encode_events()"} <= {match[0] for match in names}


def test_no_room_is_left_out() -> None:
    layout = GUIDE.partition("## How the package is laid out")[2].partition("## Three walks")[0]
    picture = layout.partition("```text\n")[2].partition("```")[0]
    rooms = [room for line in picture.splitlines() for room in line.partition("   ")[0].split("  ")]
    assert sorted(rooms) == sorted(ALLOWED.keys() - {"__init__"})
    folders = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    for room in rooms:
        assert f"`{room}/`" in layout if room in folders else f"`{room}.py`" in layout


def test_the_hooks_are_checks_of_ci() -> None:
    entries = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"), re.M)
    assert len(entries) == 3
    for entry in entries:
        assert f"\n{entry}\n" in SCRIPT


def test_ci_measures_coverage_and_has_a_floor() -> None:
    assert "coverage run -m pytest" in SCRIPT
    assert "\n.venv/bin/coverage report\n" in SCRIPT
    assert re.search(r"^fail_under = \d", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)

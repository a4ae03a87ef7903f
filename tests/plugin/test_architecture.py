"""The arrows between the rooms of the package, and what importing it may cost: one table, and no other arrow."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_lambda_telemetry

PACKAGE = "pytest_lambda_telemetry"
ROOT = Path(pytest_lambda_telemetry.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "shims" not in path.parts)

# A room is a folder or a module of the top level; every room may also import itself. Arrows go downward only.
CELLAR = {"protocol", "model", "real"}
ALLOWED: dict[str, set[str]] = {
    "__init__": {
        *("aio", "api", "backend", "environment", "events", "host", "model", "plugin", "protocol", "recorded"),
        *("sandbox", "scenarios", "script", "settings", "story", "views"),
    },
    "plugin": {
        *("aio", "environment", "host", "integrations", "model", "real", "sandbox", "scenarios", "settings", "story"),
        "views",
    },
    "strategies": {"events", "model", "protocol", "scenarios", "script", "settings"},
    "__main__": {"serve"},
    "serve": {
        *("api", "engine", "environment", "events", "host", "sandbox", "script", "settings", "story", "views"),
        *("wire", *CELLAR),
    },
    "aio": {
        *("api", "engine", "environment", "guarded", "host", "model", "offloaded", "protocol", "recorded"),
        *("sandbox", "script", "settings"),
    },
    "offloaded": {"engine", "model", "recorded"},
    "environment": {
        *("api", "engine", "extension_side", "guarded", "host", "model", "protocol", "recorded", "sandbox"),
        *("script", "settings", "story"),
    },
    "scenarios": {"story"},
    "extension_side": {"judged", "model", "protocol"},
    "judged": {"guarded", "recorded", "sandbox", "views"},
    "guarded": {"engine", "model", "recorded", "sandbox", "settings"},
    "recorded": {"captures", "model", "sandbox", "views"},
    "sandbox": {
        *("api", "backend", "engine", "wire", "host", "integrations", "views"),
        *("events", "script", "settings", "story"),
        *CELLAR,
    },
    "api": {"wire", *CELLAR},
    "backend": {"wire", *CELLAR},
    "engine": CELLAR,
    "captures": {"model", "protocol"},
    "script": {"events", "model", "protocol", "story"},
    "story": {"events", "model", "protocol"},
    "events": {"model", "protocol"},
    "settings": {"model", "protocol"},
    "views": {"model", "protocol"},
    "wire": {"model", "real"},
    "host": {"model", "real"},
    "integrations": {"model", "real"},
    "protocol": {"model"},
    "model": set(),
    "real": set(),
}

PLUGIN = {
    PACKAGE,
    f"{PACKAGE}.plugin",
    *(f"{PACKAGE}.plugin.{name}" for name in ("compare", "fixtures", "report", "session")),
    f"{PACKAGE}.real",
}
"""The modules that every session of everyone who has the package installed pays for."""
SOCKETS = {"socket", "_socket", "array"}
"""What `real` captures; pytest itself loads it too on some versions of Python."""

MOST_LINES = 400


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, wherever in the module it stands; ours are absolute here."""
    here = [PACKAGE, *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            yield from ((node.lineno, ".".join([*module, alias.name])) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_leaves_the_table_of_allowed_arrows(path: Path) -> None:
    allowed = {room_of(path), *ALLOWED[room_of(path)]}
    for line, name in imports(path):
        package, _, rest = name.partition(".")
        if package == PACKAGE:
            assert rest.partition(".")[0] in allowed, f"{path.name}:{line} imports {name}"


def test_every_room_is_in_the_table_and_exists() -> None:
    assert {room_of(path) for path in MODULES} == ALLOWED.keys()


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while done != ALLOWED.keys():
        ready = {room for room, targets in ALLOWED.items() if room not in done and targets <= done}
        assert ready, f"a circle among {sorted(ALLOWED.keys() - done)}"
        done |= ready


def test_the_wire_knows_nothing_of_lambda() -> None:
    allowed = ("wire", "model.errors", "model.headers", "real")
    found = {
        (path.name, name)
        for path in MODULES
        if room_of(path) == "wire"
        for _, name in imports(path)
        if name.startswith(PACKAGE) and not name.startswith(tuple(f"{PACKAGE}.{one}" for one in allowed))
    }
    assert found == set()
    for path in (ROOT / "wire").glob("*.py"):
        spoken = re.findall(r"(?i)lambda(?![ \w,]*:)|telemetry|aws", path.read_text(encoding="utf-8"))
        assert spoken == [], path.name


def test_only_the_plugin_imports_pytest() -> None:
    importers = {
        room_of(path)
        for path in MODULES
        for _, name in imports(path)
        if name.partition(".")[0] in ("pytest", "_pytest", "pluggy")
    }
    assert importers == {"plugin"}


def test_the_protocol_and_the_model_use_no_socket_thread_clock_or_chance() -> None:
    forbidden = {"socket", "threading", "time", "random", "subprocess", "http", "asyncio", "os", "selectors"}
    found = {
        (path.name, name)
        for path in MODULES
        if room_of(path) in ("protocol", "model", "story", "views")
        for _, name in imports(path)
        if name.partition(".")[0] in forbidden
    }
    assert found == set()


def test_only_one_module_captures_the_real_clocks() -> None:
    importers = {path.name for path in MODULES for _, name in imports(path) if name.partition(".")[0] == "time"}
    assert importers == {"real.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_two_rooms_in_one(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_all_is_sorted_and_every_public_name_can_be_imported() -> None:
    assert pytest_lambda_telemetry.__all__ == sorted(pytest_lambda_telemetry.__all__)
    for name in pytest_lambda_telemetry.__all__:
        value = getattr(pytest_lambda_telemetry, name)
        assert not isinstance(value, type) or value.__name__ == name
    assert set(pytest_lambda_telemetry.__all__) <= set(dir(pytest_lambda_telemetry))


def test_the_public_names_are_those_of_the_documentation() -> None:
    assert set(pytest_lambda_telemetry.__all__) == {
        *("LambdaTelemetry", "AsyncLambdaTelemetry", "Settings", "Retry"),
        *("events", "Event", "Script", "Invocation", "ExtensionProcess"),
        *("Request", "Extension", "Subscription", "Buffering", "Destination"),
        *("Rejection", "Delivery", "Attempt"),
        *("DeliveryFault",),
        *("Backend", "AsyncBackend", "BackendFault", "BackendRequest", "Ledger", "Trail"),
        *("LambdaTelemetryError", "MisuseError", "ProtocolViolation", "WaitTimeout", "LambdaTelemetryWarning"),
        # what is met in annotations
        *("Target", "Record", "Log", "Span", "Tracing", "Headers", "Entry", "Fact", "ExpectedRejection", "Derived"),
        *("Action", "Step", "Invoke", "Shutdown", "EndInit", "Flush", "Freeze", "Thaw"),
        *("Scenario", "scenarios", "FailDelivery", "FailBackend", "RejectCall", "Moment", "MomentName", "Change"),
        *("ScenarioAction", "Advance", "Inject", "Later", "Restart"),
        *("BufferingOptions", "InvocationOptions", "ScriptOptions", "SettingsOptions", "LambdaTelemetryFactory"),
        *("TelemetryType", "LifecycleEvent", "SchemaVersion", "RouteName", "Status", "ShutdownReason"),
        *("InvocationOutcome", "InitializationType", "InitPhase", "Fidelity", "LogFormat", "ClockName"),
    }


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'LambdaTelemetri'"):
        _ = pytest_lambda_telemetry.LambdaTelemetri


def test_errors_are_named_as_users_import_them() -> None:
    errors = ("LambdaTelemetryError", "MisuseError", "ProtocolViolation", "WaitTimeout", "LambdaTelemetryWarning")
    for name in errors:
        assert getattr(pytest_lambda_telemetry, name).__module__ == PACKAGE


def test_every_module_can_be_imported_first() -> None:
    names = [".".join([PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]) for path in MODULES]
    for name in names:
        importlib.import_module(name.removesuffix(".__init__"))


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a Python started with these arguments prints in its last line."""
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, env=environ)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_loading_the_plugin_loads_nothing_but_a_few_modules_of_ours() -> None:
    tell = "import json, sys; print(json.dumps([*sys.modules]))"
    added = loaded_by("-c", f"import pytest, {PACKAGE}.plugin; {tell}") - loaded_by("-c", f"import pytest; {tell}")
    assert added - SOCKETS == PLUGIN


def test_a_session_that_does_not_use_the_fixture_loads_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import json, sys\ndef pytest_unconfigure(): print(json.dumps([*sys.modules]))\n"
    )
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it(tmp_path): pass\n")
    session = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path))
    added = loaded_by(*session, "-p", f"{PACKAGE}.plugin") - loaded_by(*session)
    assert added - SOCKETS == PLUGIN


def test_using_the_fixture_loads_none_of_the_libraries_it_follows() -> None:
    code = (
        "import json, sys; from pytest_lambda_telemetry import LambdaTelemetry\n"
        "with LambdaTelemetry(): pass\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"pytest", "freezegun", "time_machine", "respx", "httpx", "pytest_socket", "responses", "requests_mock"}
    unwanted |= {"hypothesis", "trustme"}
    assert unwanted.isdisjoint(json.loads(done.stdout))

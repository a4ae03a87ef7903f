"""The registry of mocking libraries: who is covered when, and what is said where it cannot be."""

import importlib
import subprocess
import sys
from types import ModuleType
from typing import Any

import httpx
import pytest
import respx

from pytest_lambda_telemetry.integrations import passthrough
from tests.behaviour.integrations.conftest import FakeApi


@pytest.mark.parametrize(
    ("library", "remedy"),
    [
        ("respx", "respx_mock.route"),
        ("responses", "responses.add_passthru"),
        ("requests_mock", "real_http=True"),
        ("pytest_httpx", "pytest-httpx 0.34 or later"),
    ],
)
def test_a_release_without_what_we_hook_is_said_in_a_sentence(
    library: str, remedy: str, monkeypatch: pytest.MonkeyPatch, unclaimed: FakeApi
) -> None:
    name = next(each.MODULE for each in passthrough.LIBRARIES if each.MODULE.startswith(library))
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    notices = passthrough.install(unclaimed.is_ours)
    passthrough.uninstall(unclaimed.is_ours)
    assert len(notices) == 1
    assert "This release of" in notices[0]
    assert "calls to Lambda's API" in notices[0]
    assert remedy in notices[0]


def test_pytest_httpx_without_its_option_is_left_alone(monkeypatch: pytest.MonkeyPatch, unclaimed: FakeApi) -> None:
    old: Any = ModuleType("pytest_httpx._options")
    old._HTTPXMockOptions = type("_HTTPXMockOptions", (), {"__init__": lambda self, *, non_mocked_hosts=(): None})
    monkeypatch.setitem(sys.modules, old.__name__, old)
    assert "should_mock" in passthrough.install(unclaimed.is_ours)[0]
    passthrough.uninstall(unclaimed.is_ours)
    assert "should_mock" not in vars(old._HTTPXMockOptions)


def test_a_second_environment_hears_the_sentence_too_and_refresh_says_it_once(
    monkeypatch: pytest.MonkeyPatch, unclaimed: FakeApi
) -> None:
    def another(host: str, port: int) -> bool:
        return False

    monkeypatch.setitem(sys.modules, "respx.mocks", ModuleType("respx.mocks"))
    first = passthrough.install(unclaimed.is_ours)
    assert passthrough.refresh() == ()
    assert passthrough.install(another) == first
    passthrough.uninstall(another)
    passthrough.uninstall(unclaimed.is_ours)


def test_refresh_covers_a_library_that_is_imported_later(monkeypatch: pytest.MonkeyPatch, unclaimed: FakeApi) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "respx.mocks")
        assert passthrough.install(unclaimed.is_ours) == ()
    with respx.mock:
        assert passthrough.refresh() == ()
        assert httpx.get(f"{unclaimed.url}/ours").text == "OK"
    passthrough.uninstall(unclaimed.is_ours)


def test_several_environments_are_let_through_until_each_leaves(unclaimed: FakeApi) -> None:
    elsewhere = FakeApi(unclaimed.port + 1)
    passthrough.install(elsewhere.is_ours)
    passthrough.install(unclaimed.is_ours)
    passthrough.install(unclaimed.is_ours)
    with respx.mock(assert_all_called=False) as router:
        router.route().respond(418)
        assert httpx.get(f"{unclaimed.url}/ours").status_code == 200
        passthrough.uninstall(unclaimed.is_ours)
        assert httpx.get(f"{unclaimed.url}/ours").status_code == 418
    passthrough.uninstall(elsewhere.is_ours)
    passthrough.uninstall(elsewhere.is_ours)
    assert passthrough.refresh() == ()


class _Nobody:
    """A finder as pyfakefs puts one first in `sys.meta_path`."""

    def find_spec(self, *args: object) -> None:
        return None


@pytest.fixture(params=["under pytest", "without"])
def finders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """`sys.meta_path`, with or without pytest's hook."""
    hook = [one for one in sys.meta_path if type(one).__name__ == "AssertionRewritingHook"]
    others = [one for one in sys.meta_path if one not in hook]
    monkeypatch.setattr(sys, "meta_path", [*(hook if request.param == "under pytest" else []), *others])
    return sys.meta_path  # type: ignore[return-value]  # finders of any kind


def test_the_watch_is_never_the_first_that_another_tool_takes_away(
    finders: list[object], unclaimed: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody, before, noticed = _Nobody(), list(finders), []
    finders.insert(0, nobody)
    passthrough.install(unclaimed.is_ours)
    assert finders.pop(0) is nobody
    with monkeypatch.context() as patch:
        patch.setattr(passthrough, "_WATCHED", {"colorsys"})
        patch.setattr(passthrough, "refresh", lambda: noticed.append("colorsys" in sys.modules))
        patch.delitem(sys.modules, "colorsys", raising=False)
        importlib.import_module("colorsys")
    passthrough.uninstall(unclaimed.is_ours)
    assert noticed == [True]
    assert finders == before


def test_a_fake_file_system_that_was_there_before_us_leaves_imports_as_they_were(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(brand_new="", newer_still="")
    pytester.makepyfile(
        """
        def test_both(fs, lambda_telemetry):
            import brand_new
            lambda_telemetry.register()
            assert not fs.exists(__file__)

        def test_after_it():
            import newer_still
        """
    )
    pytester.syspathinsert()
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_no_integration_imports_the_library_it_is_for() -> None:
    program = """
import sys
from pytest_lambda_telemetry.integrations import freezegun, passthrough, pytest_socket, time_machine
freezegun.active(); time_machine.active(); passthrough.install(lambda host, port: True)
libraries = {"freezegun", "time_machine", "respx", "httpx", "responses", "requests", "requests_mock", "pytest_httpx"}
print(sorted((libraries | {"pytest", "pytest_socket", "asyncio"}) & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

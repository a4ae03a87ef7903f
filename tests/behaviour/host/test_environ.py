"""The variables an extension gets, and who owns os.environ when."""

import os

import pytest

from pytest_lambda_telemetry.host.environ import EnvironOwner, child_variables, lambda_variables
from pytest_lambda_telemetry.model.errors import MisuseError

FORBIDDEN = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
]


def variables(port: int = 9000) -> dict[str, str]:
    return lambda_variables(
        runtime_api=f"127.0.0.1:{port}",
        function_name="orders",
        function_version="7",
        memory_mb=256,
        initialization_type="on-demand",
        region="eu-central-1",
    )


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without anything these tests set; what they leave behind is restored."""
    for name in (*variables(), "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "here only so that the original is restored")
        monkeypatch.delenv(name)
    return monkeypatch


def snapshot() -> dict[str, str]:
    return dict(os.environ)


def test_the_test_process_gets_what_no_other_code_depends_on() -> None:
    assert variables() == {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9000",
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


def test_a_child_gets_the_whole_list_and_nothing_of_the_callers(plain: pytest.MonkeyPatch) -> None:
    for name in (*FORBIDDEN, "HTTP_PROXY", "https_proxy", "HOME", "AWS_PROFILE"):
        plain.setenv(name, "the caller's")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LANG", "TZ"):
        plain.setenv(name, "the caller's")
    plain.setenv("PATH", "/opt/bin:/bin")
    plain.delenv("LD_LIBRARY_PATH", raising=False)

    child = child_variables(variables(), {"TABLE": "orders"})

    assert sorted(child) == sorted(
        [
            *variables(),
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "LANG",
            "TZ",
            "PATH",
            "LD_LIBRARY_PATH",
            "TABLE",
        ]
    )
    assert "the caller's" not in child.values()
    assert (child["TZ"], child["LANG"], child["PATH"]) == (":UTC", "en_US.UTF-8", "/opt/bin:/bin")


def test_a_child_gets_the_callers_library_path_or_that_of_the_layers(plain: pytest.MonkeyPatch) -> None:
    plain.setenv("LD_LIBRARY_PATH", "/usr/local/lib")
    assert child_variables(variables(), {})["LD_LIBRARY_PATH"] == "/usr/local/lib"
    plain.delenv("LD_LIBRARY_PATH")
    assert child_variables(variables(), {})["LD_LIBRARY_PATH"] == "/opt/lib"


def test_without_a_path_a_child_gets_the_systems_default(plain: pytest.MonkeyPatch) -> None:
    plain.delenv("PATH")
    assert child_variables(variables(), {})["PATH"] == os.defpath


def test_the_functions_own_variables_win() -> None:
    child = child_variables(variables(), {"AWS_REGION": "us-west-2", "PATH": "/bin"})
    assert (child["AWS_REGION"], child["PATH"]) == ("us-west-2", "/bin")


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_an_extension_never_gets_is_refused(name: str) -> None:
    with pytest.raises(MisuseError, match=f"^env has {name}: Lambda gives that to the runtime and never"):
        child_variables(variables(), {name: "x"})


def test_entering_sets_and_leaving_restores_exactly(plain: pytest.MonkeyPatch) -> None:
    plain.setenv("AWS_REGION", "the user's")
    before, owner = snapshot(), EnvironOwner()

    token = owner.enter(variables())
    assert os.environ["AWS_REGION"] == "eu-central-1"
    owner.leave(token)

    assert snapshot() == before
    assert "AWS_LAMBDA_RUNTIME_API" not in os.environ


def test_leaving_twice_does_nothing(plain: pytest.MonkeyPatch) -> None:
    owner = EnvironOwner()
    token = owner.enter(variables())
    owner.leave(token)
    plain.setenv("AWS_REGION", "eu-central-1")
    owner.leave(token)
    assert os.environ["AWS_REGION"] == "eu-central-1"


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_one_entered_last_owns_and_any_order_of_leaving_restores(
    plain: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    before, owner = snapshot(), EnvironOwner()
    tokens = {port: owner.enter(variables(port)) for port in range(3)}

    for left in order:
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == f"127.0.0.1:{max(tokens)}"
        owner.leave(tokens.pop(left))

    assert snapshot() == before


def test_an_environment_with_a_variable_of_its_own_may_leave_first(plain: pytest.MonkeyPatch) -> None:
    before, owner = snapshot(), EnvironOwner()
    first = owner.enter({**variables(1), "ONLY_FIRST": "1"})
    second = owner.enter(variables(2))
    owner.leave(first)
    assert "ONLY_FIRST" not in os.environ
    assert os.environ["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:2"
    owner.leave(second)
    assert snapshot() == before


def test_what_the_user_has_changed_since_is_the_users(plain: pytest.MonkeyPatch) -> None:
    owner = EnvironOwner()
    token = owner.enter(variables())
    plain.setenv("AWS_REGION", "ap-south-1")
    owner.leave(token)
    assert os.environ["AWS_REGION"] == "ap-south-1"
    owner.settle()
    assert os.environ["AWS_REGION"] == "ap-south-1"


@pytest.mark.parametrize("change", ["set", "delete"])
def test_an_undo_that_brings_our_value_back_is_settled(plain: pytest.MonkeyPatch, change: str) -> None:
    before, owner = snapshot(), EnvironOwner()
    token = owner.enter(variables())
    with pytest.MonkeyPatch.context() as user:
        if change == "set":
            user.setenv("AWS_REGION", "ap-south-1")
        else:
            user.delenv("AWS_REGION")
        owner.leave(token)
    assert os.environ["AWS_REGION"] == "eu-central-1"

    owner.settle()

    assert snapshot() == before


def test_an_undo_before_leaving_needs_nothing(plain: pytest.MonkeyPatch) -> None:
    before, owner = snapshot(), EnvironOwner()
    token = owner.enter(variables())
    with pytest.MonkeyPatch.context() as user:
        user.setenv("AWS_REGION", "ap-south-1")
    owner.leave(token)
    assert snapshot() == before


LOOPBACK_NAMES = "127.0.0.1,localhost,sandbox.localdomain,sandbox"


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        (None, None, LOOPBACK_NAMES),
        ("", "", LOOPBACK_NAMES),
        ("corp.example", None, f"corp.example,{LOOPBACK_NAMES}"),
        (None, "corp.example, other", f"corp.example,other,{LOOPBACK_NAMES}"),
        ("a", "b", f"b,a,{LOOPBACK_NAMES}"),
        ("localhost,a", None, "localhost,a,127.0.0.1,sandbox.localdomain,sandbox"),
        (" * ", None, "*"),
        ("a", "*", "*"),
    ],
)
def test_no_proxy_keeps_the_users_and_adds_the_loopback_names(
    plain: pytest.MonkeyPatch, upper: str | None, lower: str | None, expected: str
) -> None:
    for name, value in (("NO_PROXY", upper), ("no_proxy", lower)):
        if value is not None:
            plain.setenv(name, value)
    before, owner = snapshot(), EnvironOwner()

    token = owner.enter(variables())
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (expected, expected)
    owner.leave(token)

    assert snapshot() == before

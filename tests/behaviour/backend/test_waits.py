"""Waiting for what an extension sends on; what is said where it does not come."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pytest_lambda_telemetry import (
    AsyncBackend,
    AsyncLambdaTelemetry,
    Backend,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    MisuseError,
    WaitTimeout,
)
from tests.support.clients import post
from tests.support.helpers import running
from tests.support.programs import program


def test_what_arrived_before_counts_and_all_of_it_is_returned(backend: Backend) -> None:
    for path in ("/a", "/b", "/a"):
        post(backend, path)
    assert backend.wait_for() == backend.wait_for(3) == backend.requests
    assert [one.path for one in backend.wait_for(2, "/a")] == ["/a", "/a"]


def test_a_wait_ends_when_it_arrives(backend: Backend) -> None:
    with running(lambda: [post(backend, "/late") for _ in range(2)]):
        assert len(backend.wait_for(2, "/late", timeout=30)) == 2


def test_a_wait_in_vain_says_what_was_seen_instead(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    with pytest.raises(WaitTimeout) as caught:
        backend.wait_for(timeout=0)
    assert str(caught.value) == (
        f"waited 0 s for a request at backend 'backend' ({backend.url}); seen instead:\n"
        "  0 requests to backend 'backend'"
    )
    for _ in range(6):
        post(backend, "/a")
    lambda_telemetry.register("ext")
    with pytest.raises(WaitTimeout) as caught:
        backend.wait_for(7, "/v1/logs", timeout=0)
    shown = "  <BackendRequest POST /a -> 200>\n" * 5
    assert str(caught.value) == (
        f"waited 0 s for 7 requests to '/v1/logs' at backend 'backend' ({backend.url}); seen instead:\n"
        f"  6 requests to backend 'backend', the last ones:\n{shown}"
        "  extension 'ext' is Registered"
    )


def test_a_wait_ends_with_the_process_that_would_have_sent(
    lambda_telemetry: LambdaTelemetry, backend: Backend, tmp_path: Path
) -> None:
    lambda_telemetry.run_extension(program(tmp_path, "say('no'); sys.exit(3)"))
    with pytest.raises(WaitTimeout, match=r"gave up waiting for a request at backend .*exit code 3") as caught:
        backend.wait_for(timeout=30)
    assert "no" in str(caught.value)


LOOPS = pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"])


@LOOPS
def test_in_a_running_loop_the_wait_is_awaited(
    run: Callable[[Any], None], async_lambda_telemetry: AsyncLambdaTelemetry, backend: Backend
) -> None:
    async def main() -> None:
        with pytest.raises(MisuseError) as caught:
            backend.wait_for()
        assert str(caught.value) == (
            "wait_for() would block the running event loop; use the async_lambda_telemetry fixture, or"
            " AsyncLambdaTelemetry, and await backend('backend').wait_for() of that"
        )
        awaited = async_lambda_telemetry.backend()
        thread = threading.Thread(target=partial(post, awaited, "/a"))
        thread.start()
        assert [one.path for one in await awaited.wait_for(1, "/a", timeout=30)] == ["/a"]
        assert awaited.requests == backend.requests
        with pytest.raises(WaitTimeout, match="waited 0 s for 2 requests at backend"):
            await awaited.wait_for(2, timeout=0)
        thread.join()

    run(main())


def test_a_cancelled_wait_ends_and_nothing_else(async_lambda_telemetry: AsyncLambdaTelemetry) -> None:
    async def main() -> None:
        backend = async_lambda_telemetry.backend()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backend.wait_for(timeout=60), 0.05)
        assert (await asyncio.to_thread(post, backend))[0] == 200
        assert len(await backend.wait_for()) == 1

    asyncio.run(main())


def test_a_wait_that_nobody_awaits_is_told_at_the_end() -> None:
    async def main() -> None:
        async with AsyncLambdaTelemetry() as fake:
            fake.backend().wait_for()  # type: ignore[unused-coroutine]  # on purpose

    with pytest.warns(LambdaTelemetryWarning, match=r"^wait_for\(\) was called and never awaited, so it did nothing"):
        asyncio.run(main())


def public(kind: type) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}


def test_both_kinds_have_the_same_members_with_the_same_signatures() -> None:
    import inspect

    assert public(Backend).keys() == public(AsyncBackend).keys()
    for name, member in public(Backend).items():
        if not isinstance(member, property):
            other = getattr(AsyncBackend, name)
            assert inspect.signature(member).parameters == inspect.signature(other).parameters
            assert inspect.iscoroutinefunction(other) == (name == "wait_for")
        assert len(inspect.getdoc(member) or "") > 10 or name == "host"

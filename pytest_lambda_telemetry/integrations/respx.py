"""Letting httpx calls to our fake through respx, whichever router, mocker or form of it the test uses.

respx has no public way that leaves a test's call counts alone (a route of ours would be counted, and a catch-all of the
test's would win), so this wraps the two methods that every intercepted request goes through.
"""

import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .patching import Replacements

MODULE = "respx.mocks"
_replaced = Replacements()


def install(is_ours: Callable[[str, int], bool]) -> str | None:
    """Let requests to our hosts and ports pass; a sentence for the journal where this respx cannot be told to."""
    library = sys.modules.get(MODULE)
    mocker = getattr(library, "Mocker", None)
    pass_through = getattr(library, "PassThrough", None)
    hooks = vars(mocker).keys() >= {"handler", "async_handler"} if mocker else False
    if mocker is None or pass_through is None or not hooks:
        return (
            "This release of respx has no Mocker.handler and async_handler to hook, so it may intercept the "
            "extension's calls to Lambda's API: let them pass with respx_mock.route(host='127.0.0.1').pass_through()."
        )

    # Any from here on: httpx requests and responses, which this module cannot name without importing httpx
    def passing(request: Any) -> bool:
        return is_ours(request.url.host, request.url.port or 80)

    def refusal(request: Any) -> Exception:
        passed: Exception = pass_through("a call to the fake Lambda API", request=request, origin=None)
        return passed

    def sync(original: "classmethod[Any, Any, Any]") -> "classmethod[Any, Any, Any]":
        handle: Callable[[type, Any], Any] = original.__func__

        @functools.wraps(handle)
        def handler(cls: type, httpx_request: Any) -> Any:
            if passing(httpx_request):
                raise refusal(httpx_request)
            return handle(cls, httpx_request)

        return classmethod(handler)

    def asynchronous(original: "classmethod[Any, Any, Any]") -> "classmethod[Any, Any, Any]":
        handle: Callable[[type, Any], Awaitable[Any]] = original.__func__

        @functools.wraps(handle)
        async def async_handler(cls: type, httpx_request: Any) -> Any:
            if passing(httpx_request):
                raise refusal(httpx_request)
            return await handle(cls, httpx_request)

        return classmethod(async_handler)

    _replaced.replace(mocker, "handler", sync)
    _replaced.replace(mocker, "async_handler", asynchronous)
    return None


def uninstall() -> None:
    """Give respx its own methods back."""
    _replaced.restore()

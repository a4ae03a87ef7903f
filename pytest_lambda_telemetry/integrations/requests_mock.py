"""Letting requests calls to our fake through requests-mock.

Inside a Mocker its own "run the real thing" signal is raised, before the call is put on record. An adapter that a test
has mounted on a session by itself is the test's own wiring and stays as it is.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .patching import Replacements

MODULE = "requests_mock.mocker"
_replaced = Replacements()


def install(is_ours: Callable[[str, int], bool]) -> str | None:
    """Let requests to our hosts and ports pass; a sentence for the journal where this release cannot be told to."""
    library = sys.modules.get(MODULE)
    adapters = getattr(library, "adapter", None)
    adapter = getattr(adapters, "Adapter", None)
    run_real = getattr(adapters, "_RunRealHTTP", None)
    inside_mocker = getattr(getattr(library, "_send_lock", None), "_is_owned", None)
    if run_real is None or inside_mocker is None or adapter is None:
        return (
            "This release of requests-mock has no _RunRealHTTP and _send_lock to hook, so it may intercept the "
            "extension's calls to Lambda's API: let them pass with "
            "requests_mock.register_uri(requests_mock.ANY, re.compile('^http://127.0.0.1'), real_http=True)."
        )

    # Any: a requests request and response, which this module cannot name without importing requests
    def passing(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send(self: Any, request: Any, **kwargs: Any) -> Any:
            url = urlsplit(request.url)
            if inside_mocker() and is_ours(url.hostname or "", url.port or 80):
                raise run_real
            return original(self, request, **kwargs)

        return send

    _replaced.replace(adapter, "send", passing)
    return None


def uninstall() -> None:
    """Give requests-mock its own method back."""
    _replaced.restore()

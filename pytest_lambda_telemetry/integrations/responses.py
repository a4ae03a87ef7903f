"""Letting requests calls to our fake through `responses`.

Its own `add_passthru` would do for one mock, but `reset` forgets it, and a test's catch-all response wins over it.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .patching import Replacements

MODULE = "responses"
_replaced = Replacements()


def install(is_ours: Callable[[str, int], bool]) -> str | None:
    """Let requests to our hosts and ports pass; a sentence for the journal where this release cannot be told to."""
    library = sys.modules.get(MODULE)
    mock = getattr(library, "RequestsMock", None)
    hooks = hasattr(mock, "_on_request") and hasattr(getattr(library, "mock", None), "_real_send")
    if mock is None or not hooks:
        return (
            "This release of responses has no RequestsMock._on_request to hook, so it may intercept the extension's "
            "calls to Lambda's API: let them pass with "
            "responses.add_passthru('http://' + lambda_telemetry.runtime_api)."
        )

    # Any: a requests adapter, request and response, which this module cannot name without importing requests
    def passing(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def on_request(self: Any, adapter: Any, request: Any, **kwargs: Any) -> Any:
            url = urlsplit(request.url)
            if is_ours(url.hostname or "", url.port or 80):
                return self._real_send(adapter, request, **kwargs)
            return original(self, adapter, request, **kwargs)

        return on_request

    _replaced.replace(mock, "_on_request", passing)
    return None


def uninstall() -> None:
    """Give `responses` its own method back."""
    _replaced.restore()

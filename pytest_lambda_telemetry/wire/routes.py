"""The paths of Lambda's runtime API that an extension calls, as a table."""

from collections.abc import Mapping
from types import MappingProxyType

from ..protocol.contract import LOGS, TELEMETRY

ROUTES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "/2020-01-01/extension/register": ("POST", "register"),
        "/2020-01-01/extension/event/next": ("GET", "next"),
        "/2020-01-01/extension/init/error": ("POST", "init_error"),
        "/2020-01-01/extension/exit/error": ("POST", "exit_error"),
        TELEMETRY.path: ("PUT", "subscribe"),
        LOGS.path: ("PUT", "subscribe"),
    }
)
"""Path without trailing slash: the method it takes and the name of what it does (also what `reject_next` takes)."""

NAMES = ("register", "next", "subscribe", "init_error", "exit_error")


def find(path: str) -> tuple[str, str] | None:
    """Method and name of the route at a path; a trailing slash is tolerated, the query ignored."""
    return ROUTES.get(path.partition("?")[0].rstrip("/"))

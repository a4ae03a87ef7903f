"""The paths of Lambda's runtime API that an extension calls, as a table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from ..protocol.contract import EXIT_ERROR, INIT_ERROR, LOGS, NEXT, REGISTER, TELEMETRY, Api

RouteName = Literal["register", "next", "subscribe", "init_error", "exit_error"]
NAMES: tuple[str, ...] = get_args(RouteName)
"""What each route is called, in `reject_next` too."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method at a path, and the name of what it does. In `template` a `{name}` stands for one segment.

    `slash`: a trailing slash is tolerated.
    """

    method: str
    template: str
    name: str
    api: Api | None = None
    slash: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A route, with the values of its template's parameters."""

    route: Route
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Routes:
    """Routes by path; one method each."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain: dict[str, Found] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            if "{" in route.template:
                pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.template))
                self._patterns.append((re.compile(pattern + "/?" * route.slash), route))
            else:
                self._plain[route.template] = Found(route)
                if route.slash:
                    self._plain[f"{route.template}/"] = Found(route)

    def find(self, target: str) -> Found | None:
        """The route at a path; the query is ignored."""
        path = target.partition("?")[0]
        if (plain := self._plain.get(path)) is not None:
            return plain
        for pattern, route in self._patterns:
            if match := pattern.fullmatch(path):
                return Found(route, match.groupdict())
        return None


LAMBDA = Routes(
    (
        Route("POST", REGISTER, "register"),
        Route("GET", NEXT, "next"),
        Route("POST", INIT_ERROR, "init_error"),
        Route("POST", EXIT_ERROR, "exit_error"),
        Route("PUT", TELEMETRY.path, "subscribe", TELEMETRY, slash=True),
        Route("PUT", LOGS.path, "subscribe", LOGS),
    )
)

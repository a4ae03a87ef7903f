"""Bodies of Subscribe: those that Lambda accepts, and those that it refuses.

Sources of the rules: the Lambda Telemetry API reference, and what `protocol.contract` names beside its values. Where
the two fidelities differ, a body is one that both accept, or both refuse, unless the settings say which counts.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from hypothesis import strategies as st

from ..model import checks
from ..model.errors import MisuseError
from ..protocol import contract, profiles
from ..protocol.contract import TELEMETRY
from ..settings import Settings
from . import faults
from .json_values import Json, json_values, texts

Body = dict[str, Json]

_PORTS = (4243, 1, 9002, 65_535)
"""The bounds, and otherwise none that a developer's own services are likely to use: telemetry may be sent there."""
_TAILS = ("", "/", "/telemetry", "/a/b%20c?x=1&y=/?", "//twice", "/?")
_SENT_BY_AWS: dict[str, st.SearchStrategy[Json]] = {"method": st.just("POST"), "encoding": st.just("JSON")}


@dataclass(frozen=True)
class _Rules:
    """What the settings decide. None: what holds whatever they say."""

    settings: Settings | None

    @property
    def versions(self) -> Sequence[str]:
        return contract.MANAGED_INSTANCES_VERSIONS if self._managed else tuple(TELEMETRY.schema_versions)

    @property
    def _managed(self) -> bool:
        return self.settings is not None and self.settings.profile.managed_instances

    @property
    def tcp_by_uri(self) -> bool:
        """A TCP destination may have a URI alone; None of the settings: the live service wants a port."""
        return self.settings is not None and not profiles.TCP_PORT_REQUIRED.under(self.settings.profile)

    @property
    def hosts(self) -> Sequence[str]:
        """Those that are accepted for certain."""
        loopback = self.settings is not None and self.settings.allow_loopback_destination
        return (*contract.SANDBOX_HOSTS, *(contract.LOOPBACK_HOSTS if loopback else ()))


@overload
def subscribe_bodies(
    valid: bool = True,
    *,
    encoded: Literal[False] = False,
    port: int | None = None,
    settings: Settings | None = None,
) -> st.SearchStrategy[Body]: ...
@overload
def subscribe_bodies(
    valid: bool = True,
    *,
    encoded: Literal[True],
    port: int | None = None,
    settings: Settings | None = None,
) -> st.SearchStrategy[bytes]: ...
def subscribe_bodies(
    valid: bool = True, *, encoded: bool = False, port: int | None = None, settings: Settings | None = None
) -> st.SearchStrategy[Body] | st.SearchStrategy[bytes]:
    """Bodies of `PUT /2022-07-01/telemetry` that Lambda accepts, or with `valid=False` refuses, as JSON objects.

    Those that are accepted have every schema version, type, protocol and form of a destination; buffering, or not;
    `method`, `encoding`, and fields in destination and buffering that Lambda ignores (for which there is a
    LambdaTelemetryWarning). Those that are refused are such a body with one fault to three. With `encoded=True` they
    are bytes as they may be sent: written in several ways, and the refused ones damaged too, so that they are no JSON
    object, or no JSON. `port` is the port of every destination that is accepted, else one of a few. `settings` say by
    which rules; without them a body is accepted, or refused, in both fidelities. Raises MisuseError for other values.

    Shrinks towards a body with its required fields alone, and one wrong field in it.
    """
    for name, flag in (("valid", valid), ("encoded", encoded)):
        checks.require(checks.is_flag(flag), name, flag, "True or False")
    usable = port is None or (checks.is_whole(port) and port in contract.PORTS and port != contract.RESERVED_PORT)
    checks.require(usable, "port", port, f"a port from 1 to 65535, other than {contract.RESERVED_PORT}, or None")
    if not (settings is None or isinstance(settings, Settings)):
        raise MisuseError(f"settings={checks.repr_of(settings)} is no Settings; pass Settings(fidelity='observed')")
    rules = _Rules(settings)
    accepted = _accepted(rules, _PORTS if port is None else (port,))
    objects = accepted if valid else _refused(rules, accepted)
    if not encoded:
        return objects
    written = st.tuples(objects, st.sampled_from(_WAYS)).map(lambda it: json.dumps(it[0], **it[1]).encode())
    return written if valid else written | faults.no_objects() | accepted.flatmap(faults.damaged)


# -- accepted ----------------------------------------------------------------------------------------------------------


def _accepted(rules: _Rules, ports: Sequence[int]) -> st.SearchStrategy[Body]:
    limits = {
        name: st.integers(limit.minimum, limit.maximum) | st.sampled_from((limit.maximum, limit.minimum))
        for name, limit in contract.BUFFERING_LIMITS.items()
    }
    buffering = st.fixed_dictionaries({}, optional=limits)
    return st.fixed_dictionaries(
        {
            "schemaVersion": st.sampled_from(rules.versions),
            "types": st.lists(st.sampled_from(contract.TYPES), min_size=1, unique=True),
            "destination": _with_ignored(_destinations(rules, ports), contract.DESTINATION_FIELDS),
        },
        optional={"buffering": _with_ignored(buffering, contract.BUFFERING_LIMITS)},
    )


def _destinations(rules: _Rules, usable: Sequence[int]) -> st.SearchStrategy[Body]:
    ports, hosts = st.sampled_from(usable), st.sampled_from(rules.hosts)
    plain = st.just(f"http://{contract.SANDBOX_HOST}:{usable[0]}")  # what there is first is what is shrunk to
    uris = st.builds("{}://{}:{}{}".format, st.sampled_from(("http", "HTTP")), hosts, ports, st.sampled_from(_TAILS))
    tcp_uris = st.builds("{}{}:{}".format, st.sampled_from(("tcp://", "", "http://", "TCP://")), hosts, ports)
    http, tcp = {"protocol": st.just("HTTP")}, {"protocol": st.just("TCP")}
    forms = [
        st.fixed_dictionaries({**http, "URI": plain | uris}, optional={"port": ports, **_SENT_BY_AWS}),
        st.fixed_dictionaries({**tcp, "port": ports}, optional={"URI": tcp_uris, **_SENT_BY_AWS}),
        st.fixed_dictionaries({**tcp, "URI": tcp_uris}, optional=_SENT_BY_AWS),
    ]
    return st.one_of(forms if rules.tcp_by_uri else forms[:2])


def _with_ignored(fields: st.SearchStrategy[Body], known: Collection[str]) -> st.SearchStrategy[Body]:
    """The same objects, as a rule; else with one field more, which Lambda does not know."""
    names = st.sampled_from(("extra", "uri", "timeout_ms", "")) | texts(max_size=12).filter(lambda it: it not in known)
    return fields | st.builds(lambda it, name, value: {**it, name: value}, fields, names, json_values())


# -- refused -----------------------------------------------------------------------------------------------------------


def _refused(rules: _Rules, accepted: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
    wrong = faults.by_form(rules.versions, rules.hosts)

    @st.composite
    def refused(draw: st.DrawFn) -> Body:
        body = draw(accepted)
        for place, value in draw(wrong[faults.form_of(body["destination"])]):
            faults.put(body, place, value)
        return body

    return refused()


# -- bytes -------------------------------------------------------------------------------------------------------------

_WAYS: tuple[dict[str, Any], ...] = ({}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": 2})

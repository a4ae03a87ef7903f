"""What a Subscribe request must be answered, written a second time.

The property tests compare the package with this module, so it shares no code with it: it was written from the
Lambda Telemetry API reference (and, for the ``observed`` fidelity, from what the live service was seen to do) alone.

Every rule yields findings, pairs of a field and what is to be said of it:

- ``REFUSED``: the value breaks a rule; the answer is 400;
- ``DENIED``: the destination is a place or a scheme that is not allowed; 400 as documented, 403 as observed;
- ``DOUBT``: the rules do not decide. A body whose only findings are doubts has no verdict (``None``).

The rules leave these undetermined, so the oracle does not judge them:

- a destination ``method`` other than ``POST``, or an ``encoding`` other than ``JSON``;
- in a URI: user information before an allowed host, a fragment, a query without a path, a character beyond spaces and
  control characters that RFC 3986 does not allow, an allowed host in capitals or with a trailing dot, a port with
  leading zeros; with TCP, a malformed scheme or a bare ``//``; with loopback allowed, a loopback address other than
  the three that are named;
- with TCP, a faulty URI beside a sound ``port`` ("``port`` wins" may mean that the URI is never read);
- with HTTP, a ``port`` field that names the reserved port (it is a port, and nothing is sent there);
- in the observed fidelity, whether 400 or 403 comes first when a body earns both (``status`` is ``None``), and which
  of the two a destination that is no URI at all gets; where the wording cites no field, ``fields`` says more than
  the answer will, since only the first fault is told there.

Read so: with an unknown ``protocol``, the URI is still judged, by the rules that both protocols share ("all messages").
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

VERSIONS = ("2025-01-29", "2022-12-13", "2022-07-01")
TYPES = ("platform", "function", "extension")
HOSTS = ("sandbox.localdomain", "sandbox")
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0")
TOP_LEVEL = ("schemaVersion", "types", "destination", "buffering")
LIMITS = {"maxItems": (1_000, 10_000), "maxBytes": (262_144, 1_048_576), "timeoutMs": (25, 30_000)}
RESERVED_PORT = 9001
DEEPEST = 128

REFUSED, DENIED, DOUBT = "refused", "denied", "doubt"
Finding = tuple[str, str]


class Verdict(NamedTuple):
    """The answer to one body.

    ``status`` is ``None`` where 400 and 403 are both right. ``fields`` names the faulty fields by their last name;
    ``"unknown"`` stands for an unknown field at the top level. A body that is not a JSON object has none.
    """

    accepted: bool
    status: int | None
    fields: frozenset[str] = frozenset()


class Subscription(NamedTuple):
    """What an accepted body results in. ``path`` is the URI's path and query as written; empty with TCP."""

    protocol: str
    port: int
    path: str
    max_items: int
    max_bytes: int
    timeout_ms: int


ACCEPTED = Verdict(True, 200)
NOT_AN_OBJECT = Verdict(False, 400)


def verdict(
    body: object, *, fidelity: str = "documented", managed_instances: bool = False, allow_loopback: bool = False
) -> Verdict | None:
    """Judge a decoded body; ``None`` where the rules do not decide."""
    if not isinstance(body, dict) or _depth(body) > DEEPEST:
        return NOT_AN_OBJECT
    observed = fidelity == "observed"
    hosts = HOSTS + LOOPBACK_HOSTS if allow_loopback else HOSTS
    findings = {
        *_top_level(body, VERSIONS[:1] if managed_instances else VERSIONS),
        *_destination(body.get("destination"), hosts, observed),
        *_buffering(body.get("buffering", {})),
    }
    faults = frozenset(field for field, kind in findings if kind != DOUBT)
    if not faults:
        return None if findings else ACCEPTED
    kinds = {kind for _, kind in findings}
    if not observed or kinds == {REFUSED}:
        return Verdict(False, 400, faults)
    return Verdict(False, 403 if kinds == {DENIED} else None, faults)


def verdict_of_bytes(
    raw: bytes, *, fidelity: str = "documented", managed_instances: bool = False, allow_loopback: bool = False
) -> Verdict | None:
    """Judge a body as it is sent: UTF-8 without a BOM, JSON without ``NaN``, no key twice in one object."""
    try:
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return NOT_AN_OBJECT
    return verdict(body, fidelity=fidelity, managed_instances=managed_instances, allow_loopback=allow_loopback)


def expected_defaults(body: dict[str, Any], *, fidelity: str = "documented") -> Subscription:
    """The settings that an accepted ``body`` results in, with the defaults of the fidelity filled in."""
    destination, buffering = body["destination"], body.get("buffering", {})
    tcp = destination["protocol"] == "TCP"
    uri = _URI.fullmatch(destination.get("URI", ""))
    assert uri is not None, "an accepted body has a well-formed URI"
    return Subscription(
        protocol=destination["protocol"],
        port=destination["port"] if tcp and "port" in destination else int(uri["port"]),
        path="" if tcp else uri["path"] + uri["query"],
        max_items=buffering.get("maxItems", 10_000 if fidelity == "observed" else 1_000),
        max_bytes=buffering.get("maxBytes", 262_144),
        timeout_ms=buffering.get("timeoutMs", 1_000),
    )


def _top_level(body: dict[str, Any], versions: tuple[str, ...]) -> Iterator[Finding]:
    if body.get("schemaVersion") not in versions:
        yield "schemaVersion", REFUSED
    types = body.get("types")
    if not isinstance(types, list) or not types or any(one not in TYPES or types.count(one) > 1 for one in types):
        yield "types", REFUSED
    if not set(body) <= set(TOP_LEVEL):
        yield "unknown", REFUSED


def _buffering(buffering: object) -> Iterator[Finding]:
    if not isinstance(buffering, dict):
        yield "buffering", REFUSED
        return
    for name, (lowest, highest) in LIMITS.items():
        if name in buffering and not _is_integer(buffering[name], lowest, highest):
            yield name, REFUSED


def _destination(destination: object, hosts: tuple[str, ...], observed: bool) -> Iterator[Finding]:
    if not isinstance(destination, dict):
        yield "destination", REFUSED
        return
    protocol, has_port = destination.get("protocol"), "port" in destination
    is_port = _is_integer(destination.get("port"), 1, 65_535)
    is_reserved = destination.get("port") == RESERVED_PORT
    uri = {("URI", kind) for kind in _uri(destination.get("URI"), protocol == "HTTP", hosts)}

    if destination.get("method", "POST") != "POST" or destination.get("encoding", "JSON") != "JSON":
        yield "destination", DOUBT
    if protocol == "HTTP":
        yield from uri
        if has_port and (not is_port or is_reserved):
            yield "port", DOUBT if is_port else REFUSED
    elif protocol == "TCP" and has_port:
        if not is_port or is_reserved:
            yield "port", REFUSED
        if "URI" in destination and uri:
            yield "URI", DOUBT
    elif protocol == "TCP":
        if observed:
            yield "port", REFUSED
        yield from uri
    else:
        yield "protocol", REFUSED
        if not has_port:
            yield from uri


_URI = re.compile(
    r"(?>(?P<scheme>[^:/?#]*://|//|))(?P<user>[^/?#]*@)?(?P<host>\[[^]/?#@]*\]|[^]:/?#@[]*)(:(?P<port>[^:/?#@]*))?"
    r"(?P<path>(/[^?#]*)?)(?P<query>(\?[^#]*)?)(?P<fragment>#.*)?",
    re.DOTALL,
)


def _uri(uri: object, http: bool, hosts: tuple[str, ...]) -> Iterator[str]:
    """What is to be said of a URI: the rules of HTTP, or the looser ones of TCP."""
    if not isinstance(uri, str):
        yield REFUSED
        return
    parts = _URI.fullmatch(uri)
    if parts is None:
        yield from (REFUSED, DENIED)
        return
    yield from (_http_scheme if http else _tcp_scheme)(parts["scheme"])
    yield from _host(parts["host"], hosts)
    yield from _port(parts["port"] or "")
    tail = parts["path"] + parts["query"]
    if re.search(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})", uri):
        yield REFUSED
    elif parts["user"] or parts["fragment"] or tail.startswith("?") or not re.fullmatch(_TAIL, tail):
        yield DOUBT


_TAIL = r"([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"


def _http_scheme(scheme: str) -> Iterator[str]:
    if scheme.lower() != "http://":
        yield DENIED
        if not re.fullmatch(_SCHEME, scheme):
            yield REFUSED


def _tcp_scheme(scheme: str) -> Iterator[str]:
    if scheme and not re.fullmatch(_SCHEME, scheme):
        yield DOUBT


def _host(host: str, hosts: tuple[str, ...]) -> Iterator[str]:
    if host in hosts:
        return
    other_loopback = "localhost" in hosts and host.startswith(("127.", "["))
    if host.lower().removesuffix(".") in hosts or other_loopback:
        yield DOUBT
        return
    yield DENIED
    if not re.fullmatch(r"[A-Za-z0-9.-]+", host):
        yield REFUSED


def _port(port: str) -> Iterator[str]:
    digits = port.lstrip("0")
    if not re.fullmatch(r"[0-9]{1,5}", digits) or int(digits) > 65_535 or int(digits) == RESERVED_PORT:
        yield REFUSED
    elif digits != port:
        yield DOUBT


def _is_integer(value: object, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _depth(value: object) -> int:
    """How many arrays and objects stand inside one another."""
    depth, level = 0, [value]
    while level := [node for node in level if isinstance(node, (dict, list))]:
        depth += 1
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

"""What may be wrong with the body of a Subscribe: field by field, and with its bytes.

Each fault is one whatever else is wrong, so that any number of them in one body is a body that is refused.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from hypothesis import strategies as st

from ..protocol import contract
from .json_values import Json, json_values, texts

Place = str
"""A field, such as `types` or `destination.URI`; `destination.*` are its URI and its port, `*` is an unknown field."""
Form = Literal["HTTP", "TCP by port", "TCP by URI"]
Values = st.SearchStrategy[Json]
Faults = st.SearchStrategy[list[tuple[Place, Json]]]

MISSING: Final = object()
"""What stands where a field is left out."""

_MISSING: Values = st.just(MISSING)
_VERSIONS = st.sampled_from(
    ("2022年07月01日", "2022-12-13 ", "2025-01-30", "2020-08-15", "latest", *contract.TELEMETRY.schema_versions)
)
_PROTOCOLS = ("http", "tcp", "UDP", "HTTPS", "")
_NEARLY: tuple[Json, ...] = (4243.0, "4243", True, [4243], 2**63, 10**30)
"""What is no port, nor any other integer that Lambda takes."""
_SCHEMES = ("https://", "tcp://", "", "//", "http:/", "://")
_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0", "example.com", "", "sandbox.localdomain.example.com", "[::1]")
_PORTS = ("", ":", ":0", ":65536", ":-1", ":x", ":4243.0", ":4243:4243")
_TAILS = ("/a b", "/\t", "/\r\nHost: example.com", "/\x7f", "/%zz", "/%")
_URI = ("http://", "sandbox.localdomain", ":4243")


def by_form(versions: Sequence[str], hosts: Sequence[str]) -> dict[Form, Faults]:
    """One fault to three, for a body that is accepted whose destination has a form."""
    everywhere: dict[Place, Values] = {
        "types": st.sampled_from(_TYPES) | _MISSING | _no(list),
        "schemaVersion": _but(_VERSIONS, versions) | _MISSING | _but(json_values(), versions),
        "destination": _MISSING | st.builds(dict) | _no(dict),
        "destination.protocol": st.sampled_from(_PROTOCOLS) | _MISSING | _but(json_values(), contract.PROTOCOLS),
        "buffering": _no(dict),
        **{
            f"buffering.{name}": _outside(limit.minimum, limit.maximum)
            for name, limit in contract.BUFFERING_LIMITS.items()
        },
        "*": st.sampled_from(_UNKNOWN) | st.tuples(_unknown_names(), json_values()),
    }
    port = st.sampled_from((0, 65_536, -1, *_NEARLY)) | _no_whole()
    return {
        "HTTP": _some({**everywhere, "destination.URI": _uris(hosts, _SCHEMES), "destination.port": port}),
        "TCP by port": _some(
            {
                **everywhere,
                "destination.port": st.just(contract.RESERVED_PORT) | port,  # with HTTP it is one like any other
                "destination.*": _MISSING,
            }
        ),
        "TCP by URI": _some({**everywhere, "destination.URI": _uris(hosts)}),  # of any scheme, or none
    }


def _some(possible: Mapping[Place, Values]) -> Faults:
    """Place and value are drawn together, so that shrinking can leave a fault out."""
    each = [st.tuples(st.just(place), values) for place, values in possible.items()]
    return st.lists(st.one_of(each), min_size=1, max_size=3, unique_by=lambda fault: fault[0])


def form_of(destination: Mapping[str, Json]) -> Form:
    """The form of a destination that is accepted."""
    if destination["protocol"] == "HTTP":
        return "HTTP"
    return "TCP by port" if "port" in destination else "TCP by URI"


def put(body: dict[str, Json], place: Place, value: Json) -> None:
    """Let the body have this fault. What an earlier one has taken away as a whole stays away."""
    if place == "*":
        name, value = value
        body[name] = value
        return
    parent, _, name = place.rpartition(".")
    holder = body.setdefault(parent, {}) if parent == "buffering" else body.get(parent) if parent else body
    if not isinstance(holder, dict):
        return
    for field in ("URI", "port") if name == "*" else (name,):
        if value is MISSING:
            holder.pop(field, None)
        else:
            holder[field] = copy.deepcopy(value)  # a later fault may be put into it


# -- values ------------------------------------------------------------------------------------------------------------

_TYPES: tuple[Json, ...] = (
    [],
    ["platform.runtimeDone"],
    ["Function"],
    ["function", "function"],
    ["function", "platform.start"],
    ["function", None],
    [["function"]],
    [""],
    "function",
)
_UNKNOWN: tuple[tuple[str, Json], ...] = (
    ("extensionName", "my-extension"),
    ("schema_version", "2025-01-29"),
    ("Types", ["function"]),
    ("maxItems", 1_000),
    ("", None),
)


def _but(values: Values, right: Sequence[str]) -> Values:
    """Those that are none of the right ones."""
    return values.filter(lambda it: it not in right)


def _no(kind: type) -> Values:
    return json_values().filter(lambda it: not isinstance(it, kind))


def _no_whole() -> Values:
    """No integer: a bool, a float and a string of digits are none."""
    return json_values().filter(lambda it: type(it) is not int)


def _outside(least: int, most: int) -> Values:
    """What is no integer between the two, though it may look like one."""
    near = st.sampled_from((least - 1, most + 1, 0, -least, float(least), str(least), *_NEARLY))
    return near | st.integers(max_value=least - 1) | st.integers(min_value=most + 1) | _no_whole()


def _uris(hosts: Sequence[str], schemes: Sequence[str] = ()) -> Values:
    """URIs with one part that is wrong."""
    scheme, host, port = _URI
    near = [
        [scheme + odd + port for odd in _HOSTS if odd not in hosts],
        [scheme + host + odd for odd in _PORTS],
        [scheme + host + port + odd for odd in _TAILS],
        [odd + host + port for odd in schemes],
    ]
    single = ("", f"{scheme}{host}:{contract.RESERVED_PORT}")
    return st.one_of([*map(st.sampled_from, filter(None, near)), *map(st.just, single)]) | _MISSING | _no(str)


def _unknown_names() -> st.SearchStrategy[str]:
    return texts(max_size=12).filter(lambda it: it not in contract.FIELDS)


# -- bytes -------------------------------------------------------------------------------------------------------------

_DEEP = b"[" * 200 + b"]" * 200
_ODD_VALUES = (
    b"256*1024",  # printed in AWS's own example
    b"NaN",
    b"-Infinity",
    b"01000",
    b"+1000",
    b"'1000'",
    b'"\t"',
    b'"\\x"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'{"y": 1, "y": 2}',
    _DEEP,
    b"[" * 10_000,
)


def no_objects() -> st.SearchStrategy[bytes]:
    """JSON that is no object."""
    return _no(dict).map(lambda value: json.dumps(value).encode())


def damaged(body: Mapping[str, Json]) -> st.SearchStrategy[bytes]:
    """The bytes of a body that is accepted, but for a damage that leaves them no JSON."""
    raw = json.dumps(body).encode()
    whole = (
        b"",
        raw[:-1],
        raw[: len(raw) // 2],
        raw + b"{}",
        raw + b"\0",
        raw + b" // why",
        raw[:-1] + b",}",
        raw[:-1] + b', "types": ["function"]}',
        b"\xef\xbb\xbf" + raw,
        raw.decode().encode("utf-16"),
        raw.decode().encode("utf-16-le"),
    )
    return st.sampled_from([*whole, *(raw[:-1] + b', "buffering": {"x": ' + odd + b"}}" for odd in _ODD_VALUES)])

"""Bodies of a Subscribe request: nearly right, and anything at all. Those that are right or wrong are public.

The tables hold what can go wrong in one place; ``every_near_miss`` and ``every_damage`` list all of it, and the
Hypothesis strategies combine it.
"""

import copy
import json
from collections.abc import Iterator

from hypothesis import strategies as st

from pytest_lambda_telemetry import Settings
from pytest_lambda_telemetry.strategies import Body, Json, json_values, subscribe_bodies
from tests.support.oracle import LIMITS, TOP_LEVEL, TYPES, VERSIONS

VALID_TAILS = ("", "/", "/telemetry", "/a/b%20c?x=1&y=/?", "//twice", "/?")

# the parts of a URI: what is right, and what is wrong or not quite right
_ODD_SCHEMES = ("https://", "HTTP://", "tcp://", "ftp://", "://", "//", "", "http:", "http:/", "h ttp://", "é://")
_ODD_USERS = ("user@", "user:secret@", "@", "sandbox.localdomain:4243@", "evil.example@", "a@b@")
_NAMED_HOSTS = ("sandbox", "SANDBOX.localdomain", "sandbox.localdomain.", "sandbox.localdomain.evil", "evil.example")
_OTHER_HOSTS = ("", "s\u00e4ndbox", "\uff53andbox", "localhost", "LOCALHOST", "127.0.0.1", "127.1", "0.0.0.0")
_IPV6_HOSTS = ("[::1]", "[::ffff:127.0.0.1]", "[::", "::1", "[zz]", "[]")
_PORT_NUMBERS = ("", ":", ":0", ":1", ":65535", ":65536", ":9001", ":09001", ":04243", ":" + "9" * 5_000)
_PORT_NONSENSE = (":-1", ":+4243", ":4_243", ":4243.0", ":0x1092", ":4243:4243", ":x", ":\uff14\uff12", ":\u0663")
_ODD_TAILS = ("?x=1", "#part", "/a b", "/é", "/%zz", "/a\\b", "/[x]", "/\x85", "/\r\nHost: evil.example")
_URI_PARTS = (
    ("http://", _ODD_SCHEMES),
    ("", _ODD_USERS),
    ("sandbox.localdomain", _NAMED_HOSTS + _OTHER_HOSTS + _IPV6_HOSTS),
    (":4243", _PORT_NUMBERS + _PORT_NONSENSE),
    ("/telemetry", VALID_TAILS + _ODD_TAILS),
)
_RIGHT_URI = tuple(right for right, _ in _URI_PARTS)
_ODD_CHARACTERS = (*" \t\n\r\0\x1f\x7f\u00a0\u2028", *"@:/\\#?[]%é😀")


def _near_uris() -> Iterator[str]:
    """URIs with one odd part, or one odd character before, within or after a part."""
    for at, (_, odd_parts) in enumerate(_URI_PARTS):
        before, after = "".join(_RIGHT_URI[:at]), "".join(_RIGHT_URI[at + 1 :])
        yield from (before + odd + after for odd in odd_parts)
        yield from (before + odd + _RIGHT_URI[at] + after for odd in _ODD_CHARACTERS)
    yield from ("".join(_RIGHT_URI) + odd for odd in _ODD_CHARACTERS)


def _around(*bounds: int) -> tuple[Json, ...]:
    """The integers on both sides of each bound, and things that look like a bound without being that integer."""
    near = (bound + step for bound in bounds for step in (-1, 0, 1))
    alike = (form for bound in bounds for form in (float(bound), str(bound), -bound, [bound]))
    return (*near, *alike, 2**63)


_ANYTHING: tuple[Json, ...] = (None, True, False, 0, 1.5, 10**400, "", [], {}, [None], {"": []})
_TYPE_LISTS = (
    *([one] for one in (*TYPES, "platform.runtimeDone", "Function", "", None, ["function"])),
    [*TYPES],
    ["function", "function"],
    ["function", "platform", "function"],
    ["function", "platform.start"],
    "function",
)
# every field, with what may stand there by mistake
_NEAR_MISSES: dict[tuple[str, ...], tuple[Json, ...]] = {
    ("schemaVersion",): (*VERSIONS, "2022年07月01日", "2025-01-29 ", "2020-08-15", "latest"),
    ("types",): _TYPE_LISTS,
    ("extensionName",): ("my-extension",),
    ("destination",): (),
    ("destination", "protocol"): ("HTTP", "TCP", "http", "Tcp", "HTTPS", "UDP"),
    ("destination", "URI"): tuple(_near_uris()),
    ("destination", "port"): _around(1, 9001, 65_535),
    ("destination", "method"): ("POST", "PUT", "post"),
    ("destination", "encoding"): ("JSON", "XML"),
    ("destination", "uri"): ("http://evil.example",),
    ("buffering",): (),
    ("buffering", "maxitems"): (1_000,),
    **{("buffering", name): _around(*bounds) for name, bounds in LIMITS.items()},
}
_DESTINATIONS: tuple[Body, ...] = (
    {"protocol": "HTTP", "URI": "".join(_RIGHT_URI)},
    {"protocol": "TCP", "URI": "tcp://sandbox.localdomain:4243"},
    {"protocol": "TCP", "port": 4243},
)


def every_near_miss() -> Iterator[Body]:
    """Bodies that are right but for one field, which is missing, mistaken or of another type.

    A destination is varied in each of its forms (HTTP, TCP by URI, TCP by port), the rest for HTTP alone.
    """
    for form, destination in enumerate(_DESTINATIONS):
        right: Body = {"schemaVersion": VERSIONS[0], "types": ["function"], "destination": destination, "buffering": {}}
        for (*parents, name), values in _NEAR_MISSES.items():
            if form > 0 and parents != ["destination"]:
                continue
            for change in ({}, *({name: value} for value in (*values, *_ANYTHING))):
                body = copy.deepcopy(right)
                parent: Body = body[parents[0]] if parents else body
                parent.pop(name, None)
                parent.update(change)
                yield body


_ODD_BUFFERING = (
    b'{"maxBytes": 256*1024}',
    b'{"maxItems": NaN}',
    b'{"x": NaN}',
    b'{"x": -Infinity}',
    b'{"maxItems": 1e3}',
    b'{"maxItems": 01000}',
    b'{"maxItems": ' + b"9" * 5_000 + b"}",
    b'{"maxItems": 1000, "maxItems": 1000}',
    b'{"x": [{"y": 1, "y": 2}]}',
    b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"x": "\xff"}',
    b'{"x": "\xed\xa0\x80"}',
    b'{"x": "\t"}',
    b"{'maxItems': 1000}",
    b'{"maxItems": 1000,}',
    b'{"maxItems": 1000} // why',
)
_ODD_VERSIONS = (rb'"\ud800"', rb'"\u0000"', rb'"\x"', b'"2022-07-\n01"', rb'"2022\u002d07-01"')


def every_damage(body: Body) -> tuple[bytes, ...]:
    """The bytes of a valid body, damaged in each of the ways that leave them no JSON, or only nearly."""
    raw = json.dumps(body).encode()
    return (
        b"",
        b"[" * 50_000,
        raw[:-1],
        raw[: len(raw) // 2],
        raw + b"{}",
        raw + b"\0",
        b" \r\n\t" + raw + b" \r\n",
        b"\xef\xbb\xbf" + raw,
        raw.decode().encode("utf-16"),
        raw.decode().encode("utf-16-le"),
        raw.decode().encode("utf-32"),
        raw[:-1] + b', "types": ["function"]}',
        *(raw[:-1] + b', "buffering": ' + odd + b"}" for odd in _ODD_BUFFERING),
        *(b'{"schemaVersion": ' + odd + raw[raw.index(b",") :] for odd in _ODD_VERSIONS),
    )


_KNOWN = frozenset({*TOP_LEVEL, *LIMITS, "protocol", "URI", "port", "method", "encoding"})
_UNKNOWN_NAMES = st.sampled_from(("extensionName", "uri", "Port", "maxitems", "schema_version", "")) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
).filter(lambda name: name not in _KNOWN)


_VALID = subscribe_bodies(settings=Settings())


@st.composite
def near_valid_uris(draw: st.DrawFn) -> str:
    """A URI with an odd part or two, and sometimes an odd character."""
    odd_parts = draw(st.sets(st.sampled_from(range(len(_URI_PARTS))), max_size=2))
    uri = "".join(
        draw(st.sampled_from(odd)) if at in odd_parts else right for at, (right, odd) in enumerate(_URI_PARTS)
    )
    at = draw(st.integers(0, len(uri)))
    return f"{uri[:at]}{draw(st.sampled_from(('', '', '', *_ODD_CHARACTERS)))}{uri[at:]}"


@st.composite
def mutated_subscribe_bodies(draw: st.DrawFn) -> Body:
    """A valid body in which one field or a few, at any depth, were replaced, removed or renamed."""
    body = draw(_VALID)
    for _ in range(draw(st.integers(1, 3))):
        (*parents, name), near_misses = draw(st.sampled_from([*_NEAR_MISSES.items()]))
        parent: Json = body.setdefault(parents[0], {}) if parents else body
        if not isinstance(parent, dict):  # an earlier change took the object away
            continue
        match draw(st.sampled_from(("near miss", "near miss", "any value", "remove", "rename"))):
            case "near miss":
                parent[name] = copy.deepcopy(draw(st.sampled_from(near_misses or _ANYTHING)))
            case "any value":
                parent[name] = draw(json_values())
            case "remove":
                parent.pop(name, None)
            case "rename":
                parent[draw(_UNKNOWN_NAMES)] = parent.pop(name, None)
    return body


@st.composite
def raw_subscribe_bodies(draw: st.DrawFn) -> bytes:
    """The bytes of a valid body, some of them cut out and others put there instead."""
    raw = json.dumps(draw(_VALID), ensure_ascii=draw(st.booleans())).encode()
    start, cut = draw(st.integers(0, len(raw))), draw(st.integers(0, 3))
    return (
        raw[:start] + draw(st.binary(max_size=3) | st.sampled_from((b'"', b"{", b"]", b",", b"0"))) + raw[start + cut :]
    )

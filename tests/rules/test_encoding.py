"""Events as bytes."""

import json
from types import MappingProxyType
from typing import Any

import pytest

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.protocol.encoding import (
    cut_event,
    encode,
    encode_lines,
    from_text,
    http_body,
    tcp_body,
    to_text,
)

TIME = "2025-01-29T12:00:00.000Z"
LINES = [
    "plain",
    'quoted "text" \\ back',
    "tab\tnew\nline\r",
    "naïve 日本語 🎉",
    "\x00\x1f\x7f",
    "",
    "\u2028",
    "a\ud800b",
]


def test_an_event_is_compact_json_in_raw_utf8() -> None:
    event = {"time": TIME, "type": "function", "record": {"größe": "日本"}}
    assert encode(event) == f'{{"time":"{TIME}","type":"function","record":{{"größe":"日本"}}}}'.encode()


@pytest.mark.parametrize("line", LINES)
def test_every_line_survives(line: str) -> None:
    event = {"time": TIME, "type": "function", "record": line}
    assert json.loads(encode(event)) == event


def test_a_lone_surrogate_is_escaped() -> None:
    assert b"\\ud800" in encode({"type": "function", "record": "é\ud800"})


def test_lines_are_encoded_as_single_events_are() -> None:
    single = [json.loads(encode({"time": TIME, "type": "extension", "record": line})) for line in LINES]
    assert [json.loads(part) for part in encode_lines(TIME, "extension", LINES)] == single
    tame = LINES[:-1]
    assert encode_lines(TIME, "function", tame) == [
        encode({"time": TIME, "type": "function", "record": line}) for line in tame
    ]


def test_a_mapping_of_any_kind_is_an_object() -> None:
    assert encode({"type": "function", "record": MappingProxyType({"a": (1, 2)})}) == (
        b'{"type":"function","record":{"a":[1,2]}}'
    )


def _cycle() -> dict[str, object]:
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    return cycle


@pytest.mark.parametrize(
    ("record", "why"),
    [({"x": float("nan")}, "not JSON compliant"), ({"x": {1}}, "set is not JSON"), (_cycle(), "Circular reference")],
)
def test_what_json_cannot_hold_is_refused(record: Any, why: str) -> None:
    with pytest.raises(
        MisuseError, match=rf"^the record of this 'function' event cannot be sent as JSON: .*{why}.*; use"
    ):
        encode({"time": TIME, "type": "function", "record": record})
    with pytest.raises(MisuseError, match=rf"^this record cannot be sent as JSON: .*{why}"):
        to_text(record)


def test_bodies() -> None:
    parts = [b'{"a":1}', b'{"b":2}']
    assert http_body(parts) == b'[{"a":1},{"b":2}]'
    assert tcp_body(parts) == b'{"a":1}\n{"b":2}\n'
    assert (http_body([]), tcp_body([])) == (b"[]", b"")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", "{", "", "[" * 100_000])
def test_text_that_could_not_be_sent_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_text(text)


def log(record: object) -> bytes:
    return encode({"time": TIME, "type": "function", "record": record})


OPENING = f'{{"time":"{TIME}","type":"function","record":'.encode()


@pytest.mark.parametrize("record", ["x" * 98, "é" * 49, {"message": "x" * 86}, None, 1.5, [1, {"record": 2}]])
def test_a_record_that_fits_is_not_cut(record: object) -> None:
    assert cut_event(log(record), 100) == [log(record)]


def test_one_byte_too_many_makes_a_piece_of_its_own() -> None:
    assert cut_event(log("x" * 99), 100) == [OPENING + b'"' + b"x" * 99 + b"}", OPENING + b'"}']


def test_the_pieces_of_a_record_are_bodies_as_the_live_service_sends_them() -> None:
    before, behind = log("before"), log("behind")
    first, second, third = cut_event(log({"message": "x" * 220}), 100)
    one, two, three = http_body([before, first]), http_body([second]), http_body([third, behind])
    assert one == b"[" + before + b"," + OPENING + b'{"message":"' + b"x" * 88 + b"}]"
    assert two == b"[" + OPENING + b"x" * 100 + b"}]"
    assert three == b"[" + OPENING + b"x" * 32 + b'"}},' + behind + b"]"
    for body in (one, two, three):
        with pytest.raises(ValueError):
            json.loads(body)


@pytest.mark.parametrize("character", ["x", "é", "日", "🎉", "\ud800"])
@pytest.mark.parametrize("limit", [5, 7, 10])
def test_a_record_is_cut_between_characters(character: str, limit: int) -> None:
    whole = log("a" + character * 20)
    pieces = cut_event(whole, limit)
    records = [piece.decode().encode().removeprefix(OPENING).removesuffix(b"}") for piece in pieces]
    assert OPENING + b"".join(records) + b"}" == whole
    assert max(map(len, records)) <= limit
    assert min(map(len, records[:-1])) > limit - 4


@pytest.mark.parametrize("text", ['a"' * 20, "a\\" * 20, "\\" * 20, '"' * 20, 'a\\"\n' * 20])
@pytest.mark.parametrize("limit", [8, 9, 10, 11])
def test_no_piece_is_json_wherever_the_cut_falls(text: str, limit: int) -> None:
    whole = log(text)
    pieces = cut_event(whole, limit)
    assert OPENING + b"".join(piece.removeprefix(OPENING)[:-1] for piece in pieces) + b"}" == whole
    for piece in pieces:
        with pytest.raises(ValueError):
            json.loads(piece)


def test_the_name_of_the_record_is_found_whatever_the_envelope_holds() -> None:
    event = encode({"time": 'a"record":b', "type": "record", "record": "x" * 20})
    first = cut_event(event, 10)[0]
    assert first.endswith(b',"record":"xxxxxxxxx}')

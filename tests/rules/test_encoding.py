"""Events as bytes."""

import json
from types import MappingProxyType
from typing import Any

import pytest

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.protocol.encoding import (
    cut_record,
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


def test_a_record_that_fits_is_not_cut() -> None:
    record = {"message": "x" * 100}
    assert cut_record("x" * 262_144, 262_144) == ["x" * 262_144]
    assert cut_record("é" * 131_072, 262_144) == ["é" * 131_072]
    assert cut_record(record, 262_144)[0] is record


@pytest.mark.parametrize("character", ["x", "é", "日", "🎉", "\ud800"])
@pytest.mark.parametrize("limit", [4, 5, 7, 10])
def test_a_long_record_is_cut_between_characters(character: str, limit: int) -> None:
    record = "a" + character * 20
    pieces = [str(piece) for piece in cut_record(record, limit)]
    assert "".join(pieces) == record
    sizes = [len(piece.encode("utf-8", "surrogatepass")) for piece in pieces]
    assert max(sizes) <= limit
    assert min(sizes[:-1]) > limit - 4


def test_one_byte_too_many_makes_a_piece_of_its_own() -> None:
    assert [len(piece) for piece in cut_record("x" * 262_145, 262_144)] == [262_144, 1]


def test_a_long_object_is_cut_as_text() -> None:
    assert cut_record({"message": "hello"}, 10) == ['{"message"', ':"hello"}']


def test_a_limit_too_small_for_a_character() -> None:
    with pytest.raises(MisuseError, match=r"^cannot cut records to 3 bytes"):
        cut_record("x", 3)

"""Records are found again in what a backend was sent; an independent search, one record after the other, agrees."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pytest_lambda_telemetry import MisuseError
from pytest_lambda_telemetry.views.occurrences import Search, distinct_lines, key_of
from pytest_lambda_telemetry.views.sightings import decoded_json

LINES = distinct_lines(5, "", 1)


def found(records: list[Any], body: bytes) -> dict[int, int]:
    search = Search([key_of(record) for record in records])
    return dict(Counter(search.found_in(body, decoded_json(body))))


BODIES: dict[str, bytes] = {
    "a list of records": json.dumps(LINES).encode(),
    "a list of events": json.dumps([{"type": "function", "record": f"{line}\n"} for line in LINES]).encode(),
    "an object of lists": json.dumps(
        {"resource": {"a": 1}, "logs": [[{"body": {"text": one}} for one in LINES]]}
    ).encode(),
    "a text with a prefix": json.dumps([f"2026-01-01 INFO {line} (test)" for line in LINES]).encode(),
    "one text": json.dumps("".join(f"{line}\n" for line in LINES)).encode(),
    "NDJSON": b"\n".join(json.dumps({"m": line}).encode() for line in LINES),
    "lines": "\n".join(LINES).encode(),
    "protobuf": b"\x0a\xff\x12" + b"\x1a\x0d\x00".join(line.encode() for line in LINES) + b"\xfe",
    "JSON in JSON": json.dumps({"payload": json.dumps([{"record": line} for line in LINES])}).encode(),
}


@pytest.mark.parametrize("form", BODIES)
def test_a_line_is_found_once_in_every_form(form: str) -> None:
    assert found([f"{line}\n" for line in LINES], BODIES[form]) == dict.fromkeys(range(5), 1)


HARD = ['say "hi"\n  and go\n', "C:\\temp", {"count": 1}, {"message": 'sold "out"'}, '{"level": "INFO"}', "1001"]
HARD_EVENTS = [{"time": "t", "record": record} for record in HARD]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps(HARD_EVENTS), id="JSON"),
        pytest.param(json.dumps(HARD_EVENTS, indent=2), id="JSON over several lines"),
        pytest.param("\n".join(map(json.dumps, HARD_EVENTS)), id="NDJSON"),
        pytest.param(" \n".join(json.dumps(event, indent=1) for event in HARD_EVENTS), id="one after the other"),
        pytest.param("".join(map(json.dumps, HARD_EVENTS)), id="one after the other, without a space"),
        pytest.param(json.dumps([{"message": json.dumps(event)} for event in HARD_EVENTS]), id="JSON in JSON"),
        pytest.param(json.dumps({"values": [["1", json.dumps(HARD_EVENTS)]]}), id="a list in JSON"),
        pytest.param(json.dumps([json.dumps({"m": json.dumps(event)}) for event in HARD_EVENTS]), id="three times"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_what_json_escapes_is_found_once_in_every_form(body: str, encoding: str) -> None:
    assert found(HARD, body.encode(encoding)) == dict.fromkeys(range(len(HARD)), 1)


def test_lines_of_numbers_are_text() -> None:
    assert found(["1001", "1002", "true"], b"1001\n1002\ntrue\n") == dict.fromkeys(range(3), 1)
    assert found(["1001"], b"1001") == {0: 1}


def test_each_occurrence_counts() -> None:
    body = json.dumps([LINES[0], {"again": LINES[0], "and": f"x {LINES[0]} y {LINES[0]}"}]).encode()
    assert found(list(LINES), body) == {0: 4}


def test_an_object_goes_by_its_message() -> None:
    records = [{"level": "INFO", "message": "one thing\n"}, {"level": "INFO", "message": "another"}]
    body = json.dumps([{"msg": "one thing"}, {"attributes": records[1]}]).encode()
    assert found(records, body) == {0: 1, 1: 1}


def test_an_object_without_a_message_is_found_as_the_same_object() -> None:
    records: list[Any] = [{"a": 1, "b": [True, None]}, {"a": 1, "b": [1, None]}, [1, {"x": 2.0}]]
    body = b'{"logs": [{"b": [true, null], "a": 1.0}, [[1, {"x": 2}]], {"a": 1}]}'
    assert found(records, body) == {0: 1, 2: 1}


def test_a_body_that_is_one_object_is_no_list_of_it() -> None:
    assert found([[{"x": 2}]], b'{"x": 2}') == {}


def test_a_line_of_other_letters_is_found_in_json_and_in_bytes() -> None:
    records = ["größer ist 1", "größer ist 2", "日本"]
    assert found(records, json.dumps(records).encode()) == {0: 1, 1: 1, 2: 1}
    assert found(records, "\x00".join(records).encode()) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (["hello", "hello\n"], "two records are 'hello', so they cannot be told apart"),
        (["hello", "hello world"], "the record 'hello' is a part of 'hello world', so they cannot be told apart"),
        ([{"a": 1}, {"a": 1.0}], """two records are '{"a":1}', so they cannot be told apart"""),
        ([{"a": "hello"}, "hello"], """the record 'hello' is a part of '{"a":"hello"}', so they cannot"""),
    ],
)
def test_what_cannot_be_told_apart_is_told(records: list[Any], says: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Search([key_of(record) for record in records])
    assert str(caught.value).startswith(says)
    assert str(caught.value).endswith(
        " at the backend; emit log_lines(n), n distinct lines of equal length, or pass key=, a function from an event"
        " to what it is known by there (str or bytes)"
    )


@pytest.mark.parametrize("record", ["", "\n", None, True, 5, 1.5, {}, [], {"message": ""}])
def test_a_record_that_could_be_anything_is_told(record: Any) -> None:
    with pytest.raises(MisuseError) as caught:
        key_of(record)
    told = "" if isinstance(record, dict) and "message" in record else record
    assert str(caught.value) == (
        f"the record {told!r} cannot be told from other values at the backend; emit lines that can, such as"
        " log_lines(n), or pass key=, a function from an event to what it is known by there (str or bytes)"
    )


def test_lines_are_distinct_and_of_equal_length() -> None:
    assert distinct_lines(2, "", 1) + distinct_lines(1, "a b", 3) == ("line 00000001", "line 00000002", "a b 00000003")


def test_a_long_text_that_is_like_itself_is_found_in_linear_time() -> None:
    row, short = "x" * 500_000, "a short one"
    search = Search([row, short])
    for body in (f"{short} {row} {row}", f"{row[1:]} {short}", f"{row}xx"):
        counts = dict(Counter(search.found_in(json.dumps([body]).encode(), [body])))
        assert counts == {index: body.count(text) for index, text in ((0, row), (1, short)) if text in body}


TEXT = st.text(st.sampled_from("ab\u00e9\n"), min_size=1, max_size=6)


@given(st.lists(TEXT, min_size=1, max_size=12, unique=True), st.lists(st.text("ab\u00e9x", max_size=30), max_size=4))
def test_it_agrees_with_a_search_for_one_record_after_the_other(texts: list[str], bodies: list[str]) -> None:
    alone = [
        text
        for text in texts
        if text.strip("\n") and not any(text != one and text.rstrip("\n") in one for one in texts)
    ]
    try:
        search = Search([key_of(text) for text in alone])
    except MisuseError:
        return
    for body in bodies:
        for raw, decoded in ((json.dumps([body]).encode(), [body]), (body.encode(), None)):
            expected = {}
            for index, text in enumerate(alone):
                line = text.rstrip("\n")
                count = sum(body.startswith(line, at) for at in range(len(body)))
                if count:
                    expected[index] = count
            assert dict(Counter(search.found_in(raw, decoded))) == expected

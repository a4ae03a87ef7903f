"""What counts as JSON, and that no bytes at all get past DecodeError."""

import json
import re

import pytest
from hypothesis import given, settings, strategies as st

from pytest_lambda_telemetry.protocol.strict_json import MAX_DEPTH, MAX_DIGITS, DecodeError, decode, printable, shown

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": [1, 2.5, -0, null, true]} \n', {"a": [1, 2.5, 0, None, True]}),
        ('"é"'.encode(), "é"),
        (rb'"\u00e9"', "é"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud800"', "\ud800"),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
        (rb'{"a": {"b": 1}, "b": {"b": 1}}', {"a": {"b": 1}, "b": {"b": 1}}),
        (rb'"[[[ \" ]] {"', '[[[ " ]] {'),
    ],
)
def test_json_is_read(raw: bytes, value: object) -> None:
    assert decode(raw) == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t ", "the body is empty"),
        (b'{"a": "\xff"}', "the body is not UTF-8: byte 7 is not valid there"),
        (b'"\xed\xa0\x80"', "the body is not UTF-8: byte 1 is not valid there"),
        (b"\xef\xbb\xbf{}", "the body starts with a byte order mark, which JSON forbids"),
        (b"[NaN]", "the body has NaN, which is not JSON"),
        (b"Infinity", "the body has Infinity, which is not JSON"),
        (b"[-Infinity]", "the body has -Infinity, which is not JSON"),
        (b'{"a": 1, "a": 1}', 'the body has the key "a" twice in one object'),
        (rb'{"a": 1, "\u0061": 1}', 'the body has the key "a" twice in one object'),
        (rb'[{"\ud800": 1, "\ud800": 1}]', r'the body has the key "\ud800" twice in one object'),
        (b"1e309", 'the body has a number too large to hold: "1e309"'),
        (b"-1e309", 'the body has a number too large to hold: "-1e309"'),
        (b"{} {}", "the body is not JSON: Extra data, line 1 column 4"),
        (b'{"a": 256*1024}', "the body is not JSON: Expecting ',' delimiter, line 1 column 10"),
        (b"{'a': 1}", re.compile("the body is not JSON: .*")),
        (b'{"a": 1,}', re.compile("the body is not JSON: .*")),
        (b"01", re.compile("the body is not JSON: .*")),
        (b"+1", re.compile("the body is not JSON: .*")),
        (b'"a\nb"', re.compile("the body is not JSON: .*")),
        (b'"open', re.compile("the body is not JSON: .*")),
        (b'"open\\', re.compile("the body is not JSON: .*")),
        (b"[1] // comment", re.compile("the body is not JSON: .*")),
        ("{}".encode("utf-16"), re.compile("the body is not UTF-8: .*")),
        ("{}".encode("utf-16-le"), re.compile("the body is not JSON: .*")),
        (b"\x00", re.compile("the body is not JSON: .*")),
    ],
)
def test_what_is_not_json_is_named(raw: bytes, message: str | re.Pattern[str]) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(raw)
    assert caught.value.message == str(caught.value)
    pattern = re.compile(re.escape(message)) if isinstance(message, str) else message
    assert pattern.fullmatch(caught.value.message)


def test_an_integer_may_have_many_digits_but_not_any_number() -> None:
    assert decode(b"9" * MAX_DIGITS) == int("9" * MAX_DIGITS)
    with pytest.raises(DecodeError, match=r"^the body has an integer of 641 characters, more than 640$"):
        decode(b"9" * (MAX_DIGITS + 1))
    with pytest.raises(DecodeError, match=r"^the body has a number too large to hold: \"999"):
        decode(b"9" * 5000 + b".0")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":['])
def test_nesting_has_a_limit(opening: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^the body is nested deeper than 128 levels$"):
        decode(opening * 100_000)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert MAX_DEPTH == 128
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.dumps(decode(deepest)).encode() == deepest
    assert decode(b"[" + b"[]," * 10_000 + b"[]]") == [[]] * 10_001
    with pytest.raises(DecodeError, match="nested deeper"):
        decode(b"[" + deepest + b"]")


def test_brackets_in_strings_are_text() -> None:
    assert decode(json.dumps("[" * 100 + '"\\' + "{" * 100).encode()) == "[" * 100 + '"\\' + "{" * 100


@pytest.mark.parametrize("piece", [b'"', b'\\"', b'"\\', b"\\", b'\\"[', b"[]", b"[}"])
def test_large_nonsense_is_refused_in_one_pass(piece: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(b'["' + piece * 200_000)


@EXAMPLES
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_decode_error(raw: bytes) -> None:
    try:
        decode(raw)
    except DecodeError as error:
        error.message.encode()


@EXAMPLES
@given(st.lists(st.sampled_from([*'[]{}",:\\ u0dD8eE+-.19aNn\n\ufeff', "true", '"a":']), max_size=30))
def test_any_text_like_json_is_a_value_or_a_decode_error(pieces: list[str]) -> None:
    try:
        decode("".join(pieces).encode())
    except DecodeError as error:
        error.message.encode()


@EXAMPLES
@given(JSON)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


def test_printable_text_keeps_all_but_lone_surrogates() -> None:
    assert printable("é \U0001f600 \ud800!") == "é \U0001f600 \\ud800!"


def test_shown_values_are_short_ascii() -> None:
    assert shown({"a": "é\ud800"}) == r'{"a": "\u00e9\ud800"}'
    assert shown("x" * 100) == '"' + "x" * 56 + "..."
    assert len(shown(10**600)) == 60

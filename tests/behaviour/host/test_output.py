"""Bytes of a child, cut into lines and bounded."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from pytest_lambda_telemetry.host import output as module
from pytest_lambda_telemetry.host.output import INBOX_BYTES, INBOX_LINES, LINE_LIMIT, TAIL_LIMIT, Output

CUT = "a line of output is longer than 1,048,576 bytes: cut there"


def lines_of(*pieces: bytes) -> list[str]:
    output = Output()
    for piece in pieces:
        output.feed(piece)
    output.finish()
    lines, dropped_lines, dropped_bytes = output.take_lines()
    assert (dropped_lines, dropped_bytes) == (0, 0)
    return lines


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((), []),
        ((b"one\ntwo\n",), ["one", "two"]),
        ((b"one\n\n\ntwo\n",), ["one", "", "", "two"]),
        ((b"\n",), [""]),
        ((b"no newline",), ["no newline"]),
        ((b"in ", b"pieces\nan", b"d more\n"), ["in pieces", "and more"]),
        ((b"dos\r\n", b"split\r", b"\n"), ["dos", "split"]),
        ((b"progress\rbar\n",), ["progress\rbar"]),
        ((b"caf\xc3", b"\xa9\n"), ["café"]),
        ((b"bad \xff byte\n",), ["bad \ufffd byte"]),
        ((b"cut at the end \xc3",), ["cut at the end \ufffd"]),
        ((b"nul \0 stays\n",), ["nul \0 stays"]),
    ],
)
def test_lines(pieces: tuple[bytes, ...], expected: list[str]) -> None:
    assert lines_of(*pieces) == expected


def test_a_line_without_its_end_waits() -> None:
    output = Output()
    output.feed(b"one\ntw")
    assert output.take_lines() == (["one"], 0, 0)
    output.feed(b"o\n")
    assert output.take_lines() == (["two"], 0, 0)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_just_the_limit_is_whole(end: bytes) -> None:
    output = Output()
    output.feed(b"x" * LINE_LIMIT + end)
    output.finish()
    assert output.take_lines() == (["x" * LINE_LIMIT], 0, 0)
    assert output.take_notes() == []


@pytest.mark.parametrize("surplus", [1, 2, 3, 65_536])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_longer_line_is_cut_once_and_the_next_is_whole(surplus: int, end: bytes) -> None:
    output = Output()
    output.feed(b"x" * LINE_LIMIT)
    output.feed(b"y" * surplus + end)
    output.finish()
    output.feed(b"next\n")
    assert output.take_lines() == (["x" * LINE_LIMIT, "next"], 0, 0)
    assert output.take_notes() == [CUT]
    assert output.take_notes() == []


def test_a_line_without_end_is_there_when_it_reaches_the_limit() -> None:
    output = Output()
    for _ in range(40):
        output.feed(b"x" * 65_536)
    assert [len(line) for line in output.take_lines()[0]] == [LINE_LIMIT]


@pytest.mark.parametrize("character", ["é", "€", "😀"])
@pytest.mark.parametrize("shift", range(4))
def test_a_cut_does_not_split_a_character(character: str, shift: int) -> None:
    output = Output()
    output.feed(b"x" * shift + character.encode() * LINE_LIMIT)
    [line], _, _ = output.take_lines()
    assert set(line) <= {"x", character}
    assert LINE_LIMIT - 4 < len(line.encode()) <= LINE_LIMIT


def test_a_cut_in_bytes_that_are_no_characters_is_at_the_limit() -> None:
    output = Output()
    output.feed(b"\x80" * (LINE_LIMIT + 2))
    assert len(output.take_lines()[0][0]) == LINE_LIMIT


def test_the_inbox_holds_so_many_lines_and_counts_the_rest() -> None:
    output = Output()
    for start in range(0, INBOX_LINES + 500, 100):
        output.feed(b"".join(b"%07d\r\n" % number for number in range(start, start + 100)))
    lines, dropped_lines, dropped_bytes = output.take_lines()
    assert lines == [f"{number:07}" for number in range(INBOX_LINES)]
    assert (dropped_lines, dropped_bytes) == (500, 3_500)
    output.feed(b"again\n")
    assert output.take_lines() == (["again"], 0, 0)


def test_the_inbox_holds_so_many_bytes_and_drops_everything_after_the_first_that_is_dropped() -> None:
    output = Output()
    big = b"x" * (LINE_LIMIT - 1) + b"\n"
    output.feed(big * 4)  # 4 bytes are left
    output.feed(b"large\nsmall\nok\n")
    lines, dropped_lines, dropped_bytes = output.take_lines()
    assert sum(map(len, lines)) == INBOX_BYTES - 4
    assert (len(lines), dropped_lines, dropped_bytes) == (4, 3, 12)


def test_the_text_is_all_of_a_short_output() -> None:
    output = Output()
    output.feed(b"one\nbad \xff\n")
    assert output.text == "one\nbad \ufffd\n"


@pytest.mark.parametrize("chunks", [17, 40, 100])
def test_the_text_of_a_long_output_is_its_end_with_a_mark(chunks: int) -> None:
    output = Output()
    for number in range(chunks):
        output.feed(bytes([97 + number % 26]) * 65_536)
    mark, _, text = output.text.partition("\n")
    assert mark == f"[{chunks * 65_536 - TAIL_LIMIT:,} bytes of earlier output are not kept]"
    assert len(text) == TAIL_LIMIT
    assert text.endswith(chr(97 + (chunks - 1) % 26) * 65_536)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"x", b"\r\n")), st.lists(st.integers(0, 200)))
def test_where_reads_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(data)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        expected.pop()
    assert lines_of(*pieces) == expected


@given(st.lists(st.binary(max_size=12), max_size=30))
def test_every_line_is_taken_or_counted(pieces: list[bytes]) -> None:
    whole, small = Output(), Output()
    with pytest.MonkeyPatch.context() as patch:
        for piece in pieces:
            whole.feed(piece)
        patch.setattr(module, "INBOX_LINES", 3)
        patch.setattr(module, "INBOX_BYTES", 20)
        for piece in pieces:
            small.feed(piece)
    every, none_lines, none_bytes = whole.take_lines()
    taken, dropped_lines, dropped_bytes = small.take_lines()
    assert (none_lines, none_bytes) == (0, 0)
    assert every[: len(taken)] == taken
    assert len(taken) + dropped_lines == len(every)
    if all(line.isascii() for line in every):
        assert sum(map(len, taken)) + dropped_bytes == sum(map(len, every))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "    (no output)"),
        (b"one\r\n\ntwo", "    one\n    \n    two"),
        (b"x" * 301 + b"\n" + b"y" * 300, f"    {'x' * 300}…\n    {'y' * 300}"),
        (
            b"\n".join(b"%d" % one for one in range(11)),
            "    … 1 earlier line\n" + "\n".join(f"    {n}" for n in range(1, 11)),
        ),
    ],
    ids=["nothing", "a few", "long", "many"],
)
def test_a_message_shows_the_last_lines_indented_and_bounded(data: bytes, expected: str) -> None:
    output = Output()
    output.feed(data)
    assert output.last_lines == expected


def test_the_lines_that_are_not_shown_are_counted_also_when_they_are_forgotten() -> None:
    output = Output()
    for begin in range(0, 500_000, 1_000):
        output.feed(b"".join(b"%07d\n" % one for one in range(begin, begin + 1_000)))
    assert output.text.startswith("[")
    assert output.last_lines == "\n".join(
        ["    … 499,990 earlier lines", *(f"    0{n}" for n in range(499_990, 500_000))]
    )

"""Recorded telemetry: saved, replayed, saved again."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, Script, Settings, events
from pytest_lambda_telemetry.settings import LogFormat
from tests.support.helpers import Listener
from tests.support.living import Event, living

START = "2026-01-01T00:00:00Z"
STRANGE = [
    {"time": "2026-01-01T00:00:00.000Z", "type": "platform.start", "record": {"requestId": "r", "unheard": [1, None]}},
    {"time": "2026-01-01T00:00:00.250Z", "type": "platform.brandNew", "record": {"ä": 1.50, "b": {"c": []}}},
    {"time": "2026-01-01T00:00:00.250Z", "type": "function", "record": 'a line\nand "more" \u2028 ü 😀'},
    {"time": "2026-01-01T00:00:01.5Z", "type": "function", "record": {"level": "INFO"}, "beside": {"x": True}},
    {"time": "2026-01-01T01:00:02+01:00", "type": "odd", "record": None},
    {"time": "2026-01-01T00:00:00.100Z", "type": "extension", "record": "recorded late"},
]


def bare(**settings: Any) -> LambdaTelemetry:
    return LambdaTelemetry(Settings(platform_events=False, start=START, **settings))


def replayed(path: Path, out: Path, **settings: Any) -> tuple[bytes, list[list[Event]]]:
    """Play a capture to a listener; the bytes that saving it again gives."""
    with Listener() as listener, bare(**settings) as environment:
        environment.subscribe(listener.uri)
        environment.play(Script.from_ndjson(path))
        environment.flush()
        environment.save_ndjson(out)
        return out.read_bytes(), listener.batches


def test_a_life_saved_replayed_and_saved_again_is_the_same_to_the_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    with living() as make, LambdaTelemetry(Settings(start=START)) as environment:
        ext = make(schemaVersion="2025-01-29")
        environment.invoke(logs=["a line", {"an": "object", "n": 1.0}])
        environment.invoke(logs=["ünï\n"], status="error")
        environment.shutdown()
        environment.save_ndjson(first)
        assert [json.loads(line) for line in first.read_bytes().splitlines()] == ext.received
    again, _ = replayed(first, second)
    assert again == first.read_bytes()


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("script", [Script.cold_start(logs=["x", {"y": 1}]), Script.suppressed_init(), Script.crash()])
def test_any_script_makes_an_exact_round_trip(tmp_path: Path, script: Script, log_format: LogFormat) -> None:
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    with Listener() as listener, bare(log_format=log_format) as environment:
        environment.subscribe(listener.uri)
        environment.play(script)
        environment.flush()
        environment.save_ndjson(first)
    again, _ = replayed(first, second, log_format=log_format)
    assert again == first.read_bytes()
    assert len(again.splitlines()) > 2


def lines_of(events_: Iterable[object]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events_)


FORMS = {
    "one event a line": lines_of(STRANGE),
    "one batch a line": lines_of([STRANGE[:2], STRANGE[2:5], STRANGE[5:]]),
    "both, with blank lines": "\n" + lines_of([STRANGE[:2]]) + "\n \n" + lines_of(STRANGE[2:]),
    "Windows": lines_of(STRANGE).replace("\n", "\r\n"),
    "a byte order mark, and no last newline": "\ufeff" + lines_of(STRANGE).rstrip("\n"),
    "raw UTF-8": "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in STRANGE),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_what_nobody_knows_passes_through_untouched(tmp_path: Path, text: str) -> None:
    capture = tmp_path / "capture.ndjson"
    capture.write_bytes(text.encode())
    saved, batches = replayed(capture, tmp_path / "again.ndjson")
    assert [event for batch in batches for event in batch] == STRANGE
    assert [json.loads(line) for line in saved.split(b"\n")[:-1]] == STRANGE


def test_spans_of_a_type_nobody_knows_pass_through_untouched(tmp_path: Path) -> None:
    capture, time = tmp_path / "capture.ndjson", "2024-01-01T00:00:00.000Z"
    novel = {"time": time, "type": "platform.novel", "record": {"spans": [{"start": None}]}}
    capture.write_text(lines_of([novel]))
    _, batches = replayed(capture, tmp_path / "again.ndjson")
    assert batches == [[novel]]


def test_a_capture_is_replayed_at_its_own_moments(tmp_path: Path) -> None:
    capture = tmp_path / "capture.ndjson"
    capture.write_text(lines_of(STRANGE))
    with Listener() as listener, bare() as environment:
        environment.subscribe(listener.uri, buffering={"timeoutMs": 100})
        environment.advance(seconds=60)
        begun = environment.elapsed
        environment.play(Script.from_ndjson(capture))
        assert (environment.elapsed - begun).total_seconds() == 2.0
        environment.flush()
        assert [len(batch) for batch in listener.batches] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'"text"',
        b"[1]",
        b'{"type": "function", "record": "x"}',
        b'{"time": "soon", "type": "a", "record": 1}',
        b"\xff",
    ],
)
def test_a_broken_line_is_named_before_anything_is_played(tmp_path: Path, line: bytes) -> None:
    capture = tmp_path / "capture.ndjson"
    capture.write_bytes(lines_of(STRANGE[:1]).encode() + b"\n" + line + b"\n")
    with pytest.raises(MisuseError, match=r"capture\.ndjson, line 3: .*each line is one event or one array of events"):
        Script.from_ndjson(capture)


def test_only_what_was_delivered_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    with Listener(answers=lambda number: 500 if number == 1 else 200) as listener, bare() as environment:
        environment.save_ndjson(path)
        assert path.read_bytes() == b""
        environment.subscribe(listener.uri)
        environment.emit(events.function("tried again"))
        environment.flush()
        environment.save_ndjson(path)
        assert path.read_bytes() == b""
        environment.advance(seconds=1)
        environment.emit(events.function("still buffered"))
        environment.save_ndjson(str(path))
        assert [json.loads(line)["record"] for line in path.read_bytes().splitlines()] == ["tried again"]


def test_it_can_be_saved_after_the_environment_has_ended(tmp_path: Path) -> None:
    with Listener() as listener, bare() as environment:
        environment.subscribe(listener.uri)
        environment.emit(events.function("x"))
        environment.flush()
    environment.save_ndjson(tmp_path / "saved.ndjson")
    assert len(Script.from_ndjson(tmp_path / "saved.ndjson")) == 1


def test_batches_are_saved_in_the_order_they_arrived(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    refusals = iter([500])
    with Listener(answers=lambda number: next(refusals, 200)) as slow, Listener() as quick, bare() as environment:
        environment.subscribe(slow.uri, name="slow")
        environment.subscribe(quick.uri, name="quick")
        environment.emit(events.function("first"))
        environment.flush()
        environment.advance(seconds=1)
        environment.save_ndjson(path)
        delivered = [delivery.subscription.extension_name for delivery in environment.deliveries]
        assert delivered == ["slow", "quick"]
    assert len(path.read_bytes().splitlines()) == 2

"""The journal holds facts: which record was in which attempt, what an entry tells, and what its limit lets go."""

import json
from collections import defaultdict

import pytest

from pytest_lambda_telemetry import (
    BufferingOptions,
    LambdaTelemetry,
    LambdaTelemetryError,
    LambdaTelemetryWarning,
    Retry,
    Settings,
    events,
)
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.model import facts
from pytest_lambda_telemetry.sandbox.assembly import assemble
from tests.support.helpers import Listener

LARGE: BufferingOptions = {"maxBytes": 1_048_576, "maxItems": 10_000, "timeoutMs": 1000}


def attempts_of(environment: LambdaTelemetry) -> dict[int, list[tuple[int, int, bool]]]:
    """Serial number of an event → batch, attempt and outcome of each try at sending it: a fold over the facts."""
    found: dict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    for entry in environment.journal:
        if isinstance(fact := entry.fact, facts.Attempted):
            for segment in fact.batch.segments:
                for number in segment:
                    found[number].append((fact.batch.number, fact.number, fact.ok))
    return found


def emitted(environment: LambdaTelemetry) -> dict[int, object]:
    """Serial number → record, of everything that was emitted."""
    found: dict[int, object] = {}
    for entry in environment.journal:
        if isinstance(fact := entry.fact, facts.Emitted):
            found |= {number: event.record for number, event in zip(fact.numbers, fact.held.events, strict=True)}
    return found


def test_which_record_was_in_which_attempt_is_known_for_each_of_100_000() -> None:
    with Listener(lambda number: 503 if number == 10 else 200) as listener, LambdaTelemetry() as fake:
        fake.subscribe(listener.uri, ["function"], buffering=LARGE)
        fake.end_init()
        fake.emit(*[events.function(f"line {number}") for number in range(100_000)])
        fake.advance(seconds=2)
        attempts, records = attempts_of(fake), emitted(fake)
        lines = {number: record for number, record in records.items() if isinstance(record, str)}
        assert len(lines) == 100_000
        assert all(attempts[number][-1][2] for number in lines)
        last = json.loads(listener.bodies[-1])
        twice = [lines[number] for number, tries in attempts.items() if len(tries) == 2]
        assert twice == [event["record"] for event in last]


def test_numbers_survive_filter_projection_and_replay() -> None:
    with Listener() as listener, LambdaTelemetry() as fake:
        fake.emit(events.function("before"), events.platform_start(), events.function("too"))
        fake.subscribe(listener.uri, ["function"])
        fake.emit(events.platform_start(), events.function("after"), events.extension("no"))
        fake.flush()
        records = emitted(fake)
        assert [records[number] for number in sorted(attempts_of(fake))] == ["before", "too", "after"]


def test_events_that_were_emitted_one_by_one_are_one_range() -> None:
    with Listener() as listener, LambdaTelemetry(Settings(platform_events=False)) as fake:
        fake.subscribe(listener.uri, ["function"])
        for number in (0, 1, 2):
            fake.emit(events.function(f"{number}"))
        fake.emit(events.extension("no"))
        fake.emit(events.function("3"))
        fake.flush()
        (batch,) = [one.fact.batch for one in fake.journal if isinstance(one.fact, facts.Attempted)]
        assert batch.segments == (range(1, 4), range(5, 6))


def test_numbers_of_events_that_are_dropped_are_known() -> None:
    with LambdaTelemetry(Settings(strict=False, retry=Retry(attempts=1))) as fake:
        fake.subscribe("http://sandbox.localdomain:9", ["function"])
        fake.emit(events.function("lost"), events.platform_start(), events.function("too"))
        fake.flush()
        (dropped,) = [one.fact for one in fake.journal if isinstance(one.fact, facts.Dropped)]
        records = emitted(fake)
        assert [records[number] for segment in dropped.segments for number in segment] == ["lost", "too"]
        assert dropped.count == 2


def test_an_announcement_has_a_number_of_its_own() -> None:
    with Listener(lambda number: 500 if number == 1 else 200) as listener:
        with LambdaTelemetry(Settings(strict=False, retry=Retry(attempts=1))) as fake:
            fake.subscribe(listener.uri, ["platform", "function"])
            fake.emit(events.function("lost"))
            fake.flush()
            fake.emit(events.function("kept"))
            fake.flush()
            assert [event["type"] for event in listener.batches[-1]] == ["platform.logsDropped", "function"]
            last = [one.fact for one in fake.journal if isinstance(one.fact, facts.Attempted)][-1]
            numbers = [number for segment in last.batch.segments for number in segment]
            assert len(numbers) == len(set(numbers)) == 2
            assert emitted(fake)[numbers[1]] == "kept"


def test_an_entry_shows_its_fact() -> None:
    with LambdaTelemetry() as fake:
        fake.register("ext")
        fake.emit(events.function("hello"))
        registered, said = fake.journal
        assert isinstance(registered.fact, facts.StoodIn)
        assert (registered.kind, registered.what) == ("lifecycle", "registered by hand")
        assert isinstance(said.fact, facts.Emitted)
        assert (said.number, said.what, said.verdict) == (2, "function", "'hello'")


def test_the_journals_limit_lets_bytes_go_first_and_keeps_the_counts() -> None:
    sandbox = assemble(Settings(), limit=100)  # facts, and KiB
    fake = over(sandbox)
    try:
        with Listener() as listener:
            fake.subscribe(listener.uri, ["function"])
            for number in range(30):
                fake.emit(events.function(f"{number:02}" + "x" * 10_000))
                fake.flush()
            first, *_, last = fake.deliveries
            assert last.events[0]["record"].startswith("29")
            with pytest.raises(LambdaTelemetryError, match="let go"):
                _ = first.body
            said = [one for one in fake.journal if isinstance(one.fact, facts.Emitted)]
            assert len(said) == 30
            assert [one.what for one in said] == ["function"] * 30
            held = [one.fact.held for one in said if isinstance(one.fact, facts.Emitted)]
            assert held[0].released
            assert not held[-1].released
            for number in range(200):
                fake.emit(events.function(f"{number}"))
            assert len(fake.journal) == 100
            assert fake.journal[-1].number == sandbox.journal.count
            assert fake.timeline().startswith(f"({sandbox.journal.forgotten} older entries were let go)")
    finally:
        sandbox.end()


def test_many_small_events_are_bounded_by_what_they_cost_and_not_by_their_bytes_alone() -> None:
    sandbox = assemble(Settings(), limit=100)
    fake = over(sandbox)
    try:
        fake.end_init()
        with pytest.warns(LambdaTelemetryWarning, match="nothing is subscribed") as told:
            said = [fake.emit(events.function("x")) for _ in range(2_000)]
        assert len(told) == 1
        assert len(said) == 2_000
        assert sandbox.journal.retention.kept_bytes <= 100 * 1024
    finally:
        sandbox.end()

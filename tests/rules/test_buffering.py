"""The buffer alone: when a batch is full, when it is due, and what is lost."""

from collections.abc import Iterable
from typing import Any

import pytest

from pytest_lambda_telemetry.model.records import Buffering
from pytest_lambda_telemetry.protocol.buffering import Batch, Buffer, Loss

LINE = b"x" * 100
LIMITS = Buffering(max_items=1000, max_bytes=262_144, timeout_ms=100)


def fill(buffer: Buffer, parts: Iterable[bytes], now_us: int = 0, **options: Any) -> None:
    """All of them, as the engine does it when nobody takes a batch meanwhile."""
    parts = list(parts)
    index = 0
    while index < len(parts):
        index = buffer.fill(parts, ["function"] * len(parts), index, now_us, "slow", **options)


def send(buffer: Buffer) -> Batch:
    """The next batch, delivered."""
    batch = buffer.begin()
    buffer.succeeded()
    return batch


def loss_of(buffer: Buffer) -> Loss | None:
    """Read anew: mypy does not know that methods change it."""
    return buffer.loss_to_announce


def waiting_in(buffer: Buffer) -> tuple[Batch, ...]:
    """Read anew, too."""
    return buffer.waiting


def test_an_empty_buffer_is_never_due() -> None:
    buffer = Buffer(LIMITS)
    assert buffer.due_us is None
    assert buffer.empty
    assert buffer.batch_count == 0


def test_a_batch_is_due_when_the_timeout_has_passed_since_its_first_event() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE], now_us=5_000)
    fill(buffer, [LINE], now_us=90_000)
    assert buffer.due_us == 105_000
    assert send(buffer).parts == [LINE, LINE]
    fill(buffer, [LINE], now_us=200_000)
    assert buffer.due_us == 300_000


@pytest.mark.parametrize(("count", "full"), [(999, False), (1000, True)])
def test_a_batch_of_max_items_is_due_at_once(count: int, full: bool) -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE] * count, now_us=7)
    assert buffer.has_full_batch is full
    assert buffer.due_us == (7 if full else 100_007)


@pytest.mark.parametrize(("missing", "full"), [(1, False), (0, True), (-1, True)])
def test_a_batch_of_max_bytes_is_due_at_once(missing: int, full: bool) -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE, b"y" * (262_144 - len(LINE) - missing)], now_us=7)
    assert buffer.has_full_batch is full
    assert buffer.due_us == (7 if full else 100_007)


def test_the_event_that_reaches_max_bytes_belongs_to_the_batch() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [b"a" * 262_143, b"b" * 262_143, b"c"])
    batch = send(buffer)
    assert [part[:1] for part in batch.parts] == [b"a", b"b"]
    assert batch.size == 2 * 262_143  # a payload can be as large as 2 * maxBytes and its brackets and commas
    assert send(buffer).parts == [b"c"]


def test_many_events_make_full_batches_and_a_rest() -> None:
    buffer = Buffer(LIMITS)
    parts = [str(number).encode() for number in range(1_999)]
    fill(buffer, parts)
    assert send(buffer).parts == parts[:1000]
    assert buffer.due_us == 100_000
    assert send(buffer).parts == parts[1000:]


def test_one_more_batch_fills_up_behind_the_one_that_failed_and_beyond_that_events_are_lost_and_counted() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE])
    buffer.begin()
    buffer.failed(50_000, "refused")
    fill(buffer, [LINE] * 1003, now_us=1)
    assert buffer.due_us == 50_000
    assert buffer.lost_records == 3
    assert buffer.loss_to_announce is None
    fill(buffer, [b"zz"])
    assert buffer.lost_records == 4
    assert buffer.begin().attempts == 2
    buffer.succeeded()
    loss = loss_of(buffer)
    assert loss is not None
    assert (loss.records, loss.size, loss.reason) == (4, 302, "slow")
    buffer.announce(b"dropped", 60_000)
    assert buffer.loss_to_announce is None
    assert send(buffer).parts == [LINE] * 1000
    assert send(buffer).parts == [b"dropped"]
    assert buffer.empty


def test_a_batch_given_up_counts_as_lost_with_the_bytes_of_its_events() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE, LINE])
    buffer.begin()
    buffer.failed(None, "could not send events: refused")
    loss = buffer.loss_to_announce
    assert loss is not None
    assert (loss.records, loss.size, loss.reason) == (2, 200, "could not send events: refused")


def test_an_announcement_that_is_lost_is_told_again_but_not_for_its_own_sake() -> None:
    buffer = Buffer(LIMITS)
    buffer.lose(7, 700, "early")
    buffer.announce(b"dropped", 0)
    buffer.begin()
    buffer.failed(None, "refused")
    assert buffer.lost_records == 7
    assert buffer.loss_to_announce is None  # a dead listener would be told for ever that it was told
    buffer.retell()
    loss = loss_of(buffer)
    assert loss is not None
    assert (loss.records, loss.size, loss.reason) == (7, 700, "early")


def test_a_loss_after_an_announcement_was_lost_is_announced_by_itself() -> None:
    buffer = Buffer(LIMITS)
    buffer.lose(7, 700, "early")
    buffer.announce(b"dropped", 0)
    buffer.begin()
    fill(buffer, [LINE])
    buffer.failed(None, "refused")
    assert loss_of(buffer) is None
    buffer.begin()
    buffer.failed(None, "refused")
    loss = loss_of(buffer)
    assert loss is not None
    assert (loss.records, loss.size) == (8, 800)


def test_an_announcement_among_other_events_is_lost_with_them_and_not_counted_itself() -> None:
    buffer = Buffer(LIMITS)
    buffer.lose(7, 700, "early")
    buffer.announce(b"dropped", 0)
    fill(buffer, [LINE])
    buffer.begin()
    buffer.failed(None, "refused")
    loss = buffer.loss_to_announce
    assert loss is not None
    assert (loss.records, loss.size, loss.reason) == (8, 800, "refused")


def test_an_announcement_that_still_waits_is_replaced_by_one_with_all_losses() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [b"kept"])
    buffer.lose(1, 10, "slow")
    buffer.announce(b"first", 0)
    fill(buffer, [b"also kept"])
    buffer.lose(2, 20, "slower")
    loss = buffer.loss_to_announce
    assert loss is not None
    assert (loss.records, loss.size, loss.reason) == (3, 30, "slower")
    buffer.announce(b"second", 0)
    assert buffer.accepted == 3
    batch = send(buffer)
    assert batch.parts == [b"kept", b"also kept", b"second"]
    assert batch.types == ["function", "function", "platform.logsDropped"]
    assert batch.size == sum(map(len, batch.parts))
    assert buffer.settled == 3


def test_a_loss_nobody_is_told_of_is_forgotten() -> None:
    buffer = Buffer(LIMITS)
    buffer.lose(7, 700, "early")
    buffer.forget_loss()
    assert buffer.lost_records == 0
    assert buffer.loss_to_announce is None


def test_a_replay_is_never_lost_and_takes_nobodys_room() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE] * 5_001, replay=True)
    fill(buffer, [LINE] * 2_999)  # they join the last batch of the replay, then make two of their own
    assert buffer.lost_records == 0
    assert [len(send(buffer).parts) for _ in range(8)] == [1000] * 8
    assert buffer.empty


def test_while_nothing_is_sent_ten_thousand_events_may_wait() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE] * 10_001)
    assert buffer.lost_records == 1
    assert buffer.batch_count == 10


def test_or_four_mib_while_nothing_is_sent() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [b"x" * 262_144] * 20)
    assert buffer.lost_records == 4
    assert buffer.batch_count == 16


def test_two_batches_may_wait_however_large() -> None:
    buffer = Buffer(Buffering(max_items=10_000, max_bytes=1_048_576))
    fill(buffer, [b"x" * 3_000_000] * 3)
    assert buffer.lost_records == 1
    assert buffer.batch_count == 2


def test_one_batch_may_wait_behind_one_that_failed() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE] * 1_000)
    buffer.begin()
    buffer.failed(100_000, "refused")
    fill(buffer, [LINE] * 1_001)
    assert buffer.lost_records == 1
    buffer.begin()
    buffer.succeeded()
    assert buffer.batch_count == 1


def test_a_million_lost_events_take_no_room() -> None:
    buffer = Buffer(LIMITS)
    parts = [LINE] * 10_000
    for _ in range(100):
        fill(buffer, parts)
    assert buffer.batch_count == 10
    assert buffer.lost_records == 1_000_000 - 10_000
    assert buffer.accepted == 10_000


def test_a_batch_that_failed_goes_first_and_keeps_its_events() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [b"1"])
    first = buffer.begin()
    buffer.failed(70_000, "refused")
    fill(buffer, [b"2"], now_us=1_000)
    assert buffer.due_us == 70_000
    assert buffer.begin() is first
    assert first.parts == [b"1"]
    buffer.failed(200_000, "refused")
    assert buffer.due_us == 200_000  # the second batch was due at 101 ms, but one is in flight
    assert send(buffer) is first
    assert buffer.due_us == 101_000
    assert send(buffer).parts == [b"2"]


def test_a_batch_is_of_the_least_generation_of_its_events() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [LINE], generation=2)
    assert send(buffer).generation == 2
    fill(buffer, [LINE], generation=2)
    fill(buffer, [LINE], generation=0)
    assert send(buffer).generation == 0
    fill(buffer, [LINE], generation=2)
    fill(buffer, [LINE])
    assert send(buffer).generation == -1


def test_an_open_batch_that_was_due_before_takes_nothing_more_and_nobodys_room() -> None:
    buffer = Buffer(LIMITS)
    fill(buffer, [b"1"])
    buffer.close_overdue(99_999)
    fill(buffer, [b"2"], now_us=99_999)
    buffer.close_overdue(100_000)
    fill(buffer, [b"3"] * 2_000, now_us=100_000)
    assert buffer.lost_records == 0
    assert [len(send(buffer).parts) for _ in range(3)] == [2, 1000, 1000]


def test_what_waits_is_told_in_order() -> None:
    buffer = Buffer(LIMITS)
    assert waiting_in(buffer) == ()
    fill(buffer, [LINE] * 2_001)
    head = buffer.begin()
    first, *_ = waiting_in(buffer)
    assert first is head
    assert [len(batch.parts) for batch in waiting_in(buffer)] == [1000, 1000, 1]
    buffer.succeeded()
    assert [len(batch.parts) for batch in waiting_in(buffer)] == [1000, 1]

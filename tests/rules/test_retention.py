"""One account for all that is kept: bodies go first, then entries of what takes most; the newest always stay."""

from pytest_lambda_telemetry.engine.retention import Newest, Retention, measured
from pytest_lambda_telemetry.model.records import Payload
from tests.support.subscriptions import subscription

KIB = 1024


def test_bodies_go_before_entries_and_the_oldest_first() -> None:
    retention = Retention(10)
    names: Newest[str] = Newest(retention)
    bodies = [Payload(b"x" * 4 * KIB) for _ in range(3)]
    for number, body in enumerate(bodies):
        names.append(f"{number}", 1 * KIB)
        retention.hold(body, len(body.body))
    assert [body.released for body in bodies] == [True, True, False]  # what a body costs beside its bytes counts, too
    assert list(names) == ["0", "1", "2"]
    assert retention.kept_bytes <= 10 * KIB


def test_of_entries_those_of_the_list_go_that_takes_most() -> None:
    retention = Retention(10)
    small: Newest[int] = Newest(retention)
    large: Newest[int] = Newest(retention)
    for number in range(6):
        small.append(number, 100)
        large.append(number, 4 * KIB)
    assert list(small) == [0, 1, 2, 3, 4, 5]
    assert list(large) == [4, 5]
    assert (small.forgotten, large.forgotten) == (0, 4)
    assert retention.kept_bytes == 600 + 8 * KIB


def test_the_newest_stays_whatever_it_takes() -> None:
    retention = Retention(1)
    names: Newest[str] = Newest(retention)
    for number in range(3):
        names.append(f"{number}", 5 * KIB)
        body = Payload(b"x" * 5 * KIB)
        retention.hold(body, 5 * KIB)
        assert list(names) == [f"{number}"]
        assert not body.released


def test_a_list_holds_at_most_so_many_entries() -> None:
    gone: list[int] = []
    retention = Retention(3)
    numbers: Newest[int] = Newest(retention, gone.append)
    for number in range(5):
        numbers.append(number, 1)
    assert (list(numbers), len(numbers), numbers.forgotten, gone) == ([2, 3, 4], 3, 2, [0, 1])


def test_what_a_value_takes_is_what_its_texts_take() -> None:
    assert measured("x" * 10_000) > 10_000
    assert measured("é" * 10_000) > 10_000
    assert measured(("x" * 10_000, ("y" * 10_000, 1))) > 20_000
    assert measured(range(10_000)) < 100
    assert measured(subscription("x" * 10_000)) < 100  # lives as long as the environment

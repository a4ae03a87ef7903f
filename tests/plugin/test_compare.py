"""What a failing `==` between events, scripts or deliveries shows, as pytest prints it."""

from pytest_lambda_telemetry import Script, events
from pytest_lambda_telemetry.script import Freeze
from pytest_lambda_telemetry.views.comparison import explain, explain_scripts
from tests.plugin.conftest import Run

SETUP = """
from pytest_lambda_telemetry import Event, Script, events

@pytest.fixture
def listener():
    with Listener() as listener:
        yield listener

def test_a(lambda_telemetry, listener):
"""


def shown(run: Run, body: str, *options: str) -> list[str]:
    """The E lines of the only test of a run that fails."""
    result = run(SETUP + "\n".join(f"    {line}" for line in body.strip().splitlines()), *options)
    result.assert_outcomes(failed=1)
    lines = [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E ")]
    return [lines[0].removeprefix("AssertionError: "), *lines[1:]]


def test_two_events_show_the_fields_that_differ(run: Run) -> None:
    lines = shown(
        run,
        """
left = events.platform_report(request_id="a", duration_ms=1, time="2026-01-01T00:00:00Z")
assert left == events.platform_report(request_id="b", duration_ms=2, status="error", error_type=None)
""",
    )
    assert lines[0].startswith("assert platform.report success 1 ms")
    assert " == platform.report error 2 ms" in lines[0]
    assert lines[1:4] == [
        "record['requestId']: 'a' != 'b'",
        "record['status']: 'success' != 'error'",
        "record['spans'][0]['durationMs']: 1 != 1.5",
    ]


def test_an_event_of_another_type_shows_the_type_first() -> None:
    assert explain(events.function("a"), events.extension("a")) == [
        "function 'a' == extension 'a'",
        "type: 'function' != 'extension'",
    ]


def test_long_records_show_where_they_differ_first() -> None:
    left, right = "a" * 200 + "left", "a" * 200 + "right, and more"
    assert explain(events.function(left), events.function(right)) == [
        f"function 'aaaaaaaaaaaaaa{'a' * 56}… == function '{'a' * 70}…",
        "record: 'aaaaaaaaaaaaleft' != 'aaaaaaaaaaaaright, and m' at character 200 (204 and 215 characters)",
    ]
    whole = explain(events.function(left), events.function(right), whole=True)
    assert whole is not None
    assert whole[1] == f"record: {left!r} != {right!r}"


def test_fields_that_only_one_has_and_lists_of_other_lengths() -> None:
    left = events.from_dict({"type": "t", "record": {"a": 1, "c": [1, 2, {"d": 3}]}, "more": 1})
    right = events.from_dict({"type": "t", "record": {"b": 2, "c": [1, 2, {"d": 4}, 5]}})
    assert explain(left, right) == [
        "t {'a': 1, 'c': [1, 2, {'d': 3}]} == t {'b': 2, 'c': [1, 2, {'d': 4}, 5]}",
        "record['a']: 1 on the left only",
        "record['c'][2]['d']: 3 != 4",
        "record['c']: 3 != 4 of them",
        "record['b']: 2 on the right only",
        "fields: {'more': 1} != None",
    ]


def test_of_many_differences_some_are_shown() -> None:
    left, right = ({f"k{number}": number + more for number in range(9)} for more in (0, 1))
    lines = explain(events.function(left), events.function(right))
    assert lines is not None
    assert lines[1:] == [
        *(f"record['k{number}']: {number} != {number + 1}" for number in range(5)),
        "and 4 more differences (-vv shows all)",
    ]
    whole = explain(events.function(left), events.function(right), whole=True)
    assert whole is not None
    assert len(whole) == 10


def test_an_event_beside_a_dict_says_how_to_compare_them(run: Run) -> None:
    lines = shown(
        run,
        """
lambda_telemetry.subscribe(listener.uri)
lambda_telemetry.emit(events.function("a"))
(delivery,) = lambda_telemetry.flush()
assert delivery.events[0] == events.function("a")
""",
    )
    assert lines[-2:] == [
        "one is a dict, the other an Event",
        "events.from_dict makes an Event of a dict; of an Event compare .type and .record",
    ]


def test_lists_of_events_show_the_first_that_differs_and_what_is_missing() -> None:
    left = [events.function("a"), events.function("b")]
    right = [events.function("a"), events.function("c"), *[events.extension("d")] * 7]
    assert explain(left, right) == [
        "list of 2 events == list of 9 events",
        "first difference at index 1:",
        "  left:  function 'b'",
        "  right: function 'c'",
        "  record: 'b' != 'c'",
        "the right has 7 more",
    ]
    assert explain(left[:1], right) == [
        "list of 1 event == list of 9 events",
        "the right has 8 more, from index 1 on:",
        "  function 'c'",
        *["  extension 'd'"] * 4,
        "  …",
    ]
    assert explain(tuple(left), left[:1]) == [
        "tuple of 2 events == list of 1 event",
        "one is a tuple, the other a list",
        "the left has 1 more, from index 1 on:",
        "  function 'b'",
    ]
    assert explain(tuple(left), left) == ["tuple of 2 events == list of 2 events", "one is a tuple, the other a list"]


def test_scripts_show_the_first_step_that_differs(run: Run) -> None:
    lines = shown(run, 'assert Script.invocation(logs=["a"]) == Script.invocation(logs=["b"], duration_ms=200)')
    assert lines == [
        "assert <Script of 6 steps in 101.5 ms> == <Script of 6 steps in 201.5 ms>",
        "first difference at step 2:",
        "left:  50 ms  function 'a'",
        "right: 100 ms  function 'b'",
        "offset_ms: 50.0 != 100.0",
        "action.record: 'a' != 'b'",
    ]


def test_a_step_that_differs_shows_its_field() -> None:
    left = Script([(0, events.platform_start(request_id="r")), (5, events.function("a"))])
    right = Script([(0, events.platform_start(request_id="r")), (12.5, events.function("b")), (13, events.function())])
    assert explain_scripts(left, right) == [
        "<Script of 2 steps in 5 ms> == <Script of 3 steps in 13 ms>",
        "first difference at step 1:",
        "  left:  5 ms  function 'a'",
        "  right: 12.5 ms  function 'b'",
        "  offset_ms: 5 != 12.5",
        "  action.record: 'a' != 'b'",
        "the right has 1 more",
    ]
    assert explain_scripts(Script.cold_start(), Script([(0, Freeze())]))[1:] == [
        "first difference at step 0:",
        "  left:  0 ms  platform.initStart on-demand init",
        "  right: 0 ms  Freeze()",
        "the left has 10 more",
    ]


def test_deliveries_are_no_equals_and_what_differs_is_told(run: Run) -> None:
    lines = shown(
        run,
        """
lambda_telemetry.subscribe(listener.uri)
lambda_telemetry.fail_next_delivery(503)
lambda_telemetry.emit(events.function("a"))
(before,) = lambda_telemetry.flush()
(after,) = lambda_telemetry.advance(ms=100)
assert before == after
""",
    )
    assert lines[0] == (
        "assert <Delivery to test-extension failed [function]> == <Delivery to test-extension ok [function]>"
    )
    assert lines[1].startswith("a Delivery equals only itself, and each attempt makes a new one: compare what it")
    assert lines[2:] == ["ok: False != True", "status: 503 != 200", "attempts: 1 != 2 of them"]


def test_two_deliveries_that_hold_the_same_say_so(run: Run) -> None:
    lines = shown(
        run,
        """
import copy
lambda_telemetry.subscribe(listener.uri)
delivery = lambda_telemetry.push([events.function("a")])
assert [delivery] == [copy.copy(delivery)]
""",
    )
    assert lines[0] == "assert list of 1 delivery == list of 1 delivery"
    assert lines[1] == "first difference at index 0:"
    assert lines[-1] == "both hold the same"


def test_a_delivery_that_should_not_be_there_is_shown(run: Run) -> None:
    lines = shown(
        run,
        """
lambda_telemetry.subscribe(listener.uri)
lambda_telemetry.emit(events.function("a"))
assert lambda_telemetry.advance(seconds=1) == ()
""",
    )
    assert lines == [
        "assert tuple of 1 delivery == tuple of 0 deliveries",
        "the left has 1, from index 0 on:",
        "<Delivery to test-extension ok [function]>",
    ]


def test_other_comparisons_are_left_to_others(run: Run) -> None:
    assert explain([1], [2]) is None
    assert explain([events.function("a")], [1]) is None
    assert explain((), []) is None
    lines = shown(run, "assert [1, 2] == [1, 3]")
    assert lines[:2] == ["assert [1, 2] == [1, 3]", ""]
    lines = shown(run, 'assert events.function("a") != events.function("a")')
    assert lines[0].startswith("assert Event(type='function'")


def test_with_vv_every_difference_is_shown(run: Run) -> None:
    body = """
left, right = ({f"k{number}": number + more for number in range(9)} for more in (0, 1))
assert events.function(left) == events.function(right)
"""
    assert shown(run, body)[-1] == "and 4 more differences (-vv shows all)"
    assert shown(run, body, "-vv")[-1] == "record['k8']: 8 != 9"

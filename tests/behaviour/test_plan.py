"""The plan of misfortune: one list, used up in order, by chance the same in every run."""

from collections.abc import Callable

from pytest_lambda_telemetry.backend.faults import Fault
from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.sandbox.plan import (
    BACKEND,
    CONNECTION,
    DELIVERY,
    Plan,
    Planned,
    backend_fault,
    call_refusal,
    delivery_fault,
)
from tests.support.subscriptions import subscription


def test_entries_are_used_up_in_the_order_they_were_made() -> None:
    plan, one, other = Plan("seed"), subscription("one"), subscription("other")
    plan.add(Planned(where=DELIVERY, what=503, times=2))
    plan.add(Planned(where=DELIVERY, what="reset", matches=lambda subject: subject is other))
    plan.add(call_refusal("next", 500, None, None, 1))
    assert plan.fault_for(one) == 503
    assert plan.fault_for(other) == 503
    assert plan.fault_for(one) is None
    assert plan.fault_for(other) == "reset"
    assert plan.fault_for(other) is None
    assert plan.refusal_for("register") is None
    refusal = plan.refusal_for("next")
    assert isinstance(refusal, Refusal)
    assert refusal.status == 500
    assert plan.refusal_for("next") is None


def test_two_entries_that_are_equal_are_used_up_one_after_the_other() -> None:
    plan, one = Plan("seed"), subscription("one")
    matches: Callable[[object], bool] = lambda _subject: True  # noqa: E731 - the very same in both
    for _ in range(2):
        plan.add(Planned(where=DELIVERY, what=503, matches=matches))
    assert [plan.fault_for(one) for _ in range(3)] == [503, 503, None]


def test_faults_of_backends_are_entries_like_any_other() -> None:
    plan = Plan("seed")
    plan.add(
        Planned(where=BACKEND, what=Fault("reset"), matches=lambda subject: subject == ("b", "/x"))
    )  # a scenario's
    plan.add(backend_fault("a", 503, 2, None, None))
    plan.add(backend_fault("a", "refuse", 1, None, None))
    plan.add(Planned(where=CONNECTION, what=Fault("refuse")))
    assert plan.backend_fault_for("b", "/y") is None
    assert plan.backend_fault_for("b", "/x") == Fault("reset")
    assert plan.backend_fault_for("a", "/x") == Fault(503)
    assert [plan.refuses("b"), plan.refuses("b"), plan.refuses("a"), plan.refuses("a")] == [True, False, True, False]
    assert plan.fault_for(subscription("one")) is None
    plan.forget_backend("a")
    assert plan.backend_fault_for("a", "/x") is None


def test_what_is_left_to_chance_comes_out_the_same_for_the_same_seed() -> None:
    def drawn(seed: str) -> list[object]:
        plan, one = Plan(seed), subscription("one")
        plan.add(Planned(where=DELIVERY, what=503, times=1000, chance=0.3))
        return [plan.fault_for(one) for _ in range(100)]

    assert drawn("a") == drawn("a")
    assert drawn("a") != drawn("b")
    assert 10 < drawn("a").count(503) < 50


def test_what_nothing_has_met_is_told_in_the_words_of_the_test() -> None:
    plan, one, other = Plan("seed"), subscription("one"), subscription("other")
    plan.add(delivery_fault("reset", 3, (one, other, one)))
    plan.add(delivery_fault(("lost-answer", 503), 1, None))
    plan.add(call_refusal("next", 500, None, None, 2))
    plan.add(Planned(where=DELIVERY, what=503))  # a scenario's, which nobody asked for in so many words
    hint = "Ask for it ahead of what it is meant for, or leave it out"
    assert [planned.complaint for planned in plan.unused()] == [
        "fail_next_delivery('reset', times=3, to='one', 'other') was never used: no delivery to 'one', 'other' came"
        f" after it. {hint}",
        f"fail_next_delivery(('lost-answer', 503)) was never used: no delivery came after it. {hint}",
        f"reject_next('next', 500, times=2) was never used: no 'next' call came after it. {hint}",
    ]


def test_what_was_met_once_has_done_its_work() -> None:
    plan, one = Plan("seed"), subscription("one")
    plan.add(delivery_fault("reset", 1000, (one,)))
    plan.add(call_refusal("next", 500, None, None, 2))
    plan.fault_for(one)
    plan.refusal_for("next")
    assert plan.unused() == []

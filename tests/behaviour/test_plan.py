"""The plan of misfortune: one list, used up in order, by chance the same in every run."""

from collections.abc import Callable

from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.sandbox.delivery_faults import DeliveryFault
from pytest_lambda_telemetry.sandbox.plan import DELIVERY, Plan, Planned, call_refusal
from tests.support.subscriptions import subscription


def test_entries_are_used_up_in_the_order_they_were_made() -> None:
    plan, one, other = Plan("seed"), subscription("one"), subscription("other")
    plan.add(Planned(where=DELIVERY, what=503, times=2))
    plan.add(Planned(where=DELIVERY, what=DeliveryFault.RESET, matches=lambda subject: subject is other))
    plan.add(call_refusal("next", 500, None, None, 1))
    assert plan.fault_for(one) == 503
    assert plan.fault_for(other) == 503
    assert plan.fault_for(one) is None
    assert plan.fault_for(other) is DeliveryFault.RESET
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


def test_what_is_left_to_chance_comes_out_the_same_for_the_same_seed() -> None:
    def drawn(seed: str) -> list[object]:
        plan, one = Plan(seed), subscription("one")
        plan.add(Planned(where=DELIVERY, what=503, times=1000, chance=0.3))
        return [plan.fault_for(one) for _ in range(100)]

    assert drawn("a") == drawn("a")
    assert drawn("a") != drawn("b")
    assert 10 < drawn("a").count(503) < 50

"""Attributes replaced and put back."""

from typing import Any

from pytest_lambda_telemetry.integrations.patching import Replacements


def _classes() -> tuple[Any, Any]:
    class Base:
        inherited = "base"

    class Owner(Base):
        own = "own"

    return Base, Owner


def test_attributes_of_its_own_are_restored_and_inherited_ones_uncovered() -> None:
    _, owner = _classes()
    replaced = Replacements()
    replaced.replace(owner, "own", lambda was: was + "!")
    replaced.replace(owner, "inherited", lambda was: was + "!")
    replaced.replace(owner, "missing", lambda was: was is None)
    assert (owner.own, owner.inherited, owner.missing) == ("own!", "base!", True)
    replaced.restore()
    assert {name for name in vars(owner) if not name.startswith("__")} == {"own"}
    assert (owner.own, owner.inherited) == ("own", "base")


def test_restoring_leaves_what_somebody_else_put_there_since() -> None:
    _, owner = _classes()
    replaced = Replacements()
    replaced.replace(owner, "own", lambda was: "ours")
    owner.own = "theirs"
    replaced.restore()
    assert owner.own == "theirs"


def test_one_attribute_replaced_twice_is_restored_to_the_first() -> None:
    _, owner = _classes()
    replaced = Replacements()
    replaced.replace(owner, "own", lambda was: was + "1")
    replaced.replace(owner, "own", lambda was: was + "2")
    assert owner.own == "own12"
    replaced.restore()
    replaced.restore()
    assert owner.own == "own"

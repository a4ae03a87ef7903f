"""What pytest shows of `==` between scripts, events or deliveries that are not equal."""

from __future__ import annotations

import sys

import pytest

from .session import PACKAGE


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    if op != "==" or f"{PACKAGE}.model.event" not in sys.modules:  # so neither side is one of ours
        return None
    from ..views.comparison import explain, explain_scripts

    whole = config.getoption("verbose") > 1
    scripts = sys.modules.get(f"{PACKAGE}.script")
    if scripts is not None and isinstance(left, scripts.Script) and isinstance(right, scripts.Script):
        return explain_scripts(left, right, whole=whole)
    return explain(left, right, whole=whole)

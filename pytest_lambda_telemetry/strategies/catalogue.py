"""The catalogue of production behaviours."""

from importlib import import_module
from typing import Any

from hypothesis import strategies as st

_CATALOGUE = f"{__package__.partition('.')[0]}.scenarios"


def scenarios() -> st.SearchStrategy[Any]:  # a Scenario, of a module that nothing else here needs
    """One Scenario of the catalogue `scenarios.ALL`; shrinks towards its beginning, `plain`."""
    return st.deferred(lambda: st.sampled_from(tuple(import_module(_CATALOGUE).ALL)))

"""JSON values of any kind."""

from typing import Any

from hypothesis import strategies as st

Json = Any
"""A JSON value: of a recursive type that no type checker can narrow usefully."""

_LARGE = (2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, 1e300, -0.0)
"""Numbers that not every decoder keeps."""


def texts(min_size: int = 0, max_size: int = 20) -> st.SearchStrategy[str]:
    """Texts that UTF-8 can write: every character but lone surrogates."""
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=min_size, max_size=max_size)


def json_values() -> st.SearchStrategy[Json]:
    """Any JSON value that UTF-8 can carry: no NaN, no infinity, no lone surrogate; a few levels deep."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts()
    return st.recursive(
        scalars | st.sampled_from(_LARGE),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=12), inner, max_size=3),
        max_leaves=6,
    )

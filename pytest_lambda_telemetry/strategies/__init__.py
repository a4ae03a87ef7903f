"""Strategies for Hypothesis (the extra `hypothesis`): Subscribe bodies, events, batches, scripts and scenarios.

What they give shrinks to what is small and readable: one short log line, a right body with one wrong field, one
ready-made script. `with lambda_telemetry.fresh() as environment:` makes each example begin in a clean environment; see
docs/hypothesis.md. Importing this package raises ModuleNotFoundError where Hypothesis is not installed.
"""

try:
    import hypothesis as _hypothesis  # noqa: F401 - looked for here, so that one message says what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} needs Hypothesis, which is not installed: pip install 'pytest-lambda-telemetry[hypothesis]'",
        name=error.name,
    ) from None

from .bodies import Body, subscribe_bodies
from .catalogue import scenarios
from .json_values import Json, json_values
from .lives import scripts
from .telemetry import batches, events

__all__ = ["Body", "Json", "batches", "events", "json_values", "scenarios", "scripts", "subscribe_bodies"]

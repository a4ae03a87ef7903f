"""A backend of an environment of its own."""

import pytest

from pytest_lambda_telemetry import Backend, LambdaTelemetry


@pytest.fixture
def backend(lambda_telemetry: LambdaTelemetry) -> Backend:
    return lambda_telemetry.backend()

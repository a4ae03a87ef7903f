"""A subscription as a value, for tests of parts that only look at it."""

import json
from datetime import UTC, datetime

from pytest_lambda_telemetry import Buffering, Destination, Subscription
from pytest_lambda_telemetry.model.headers import Headers
from pytest_lambda_telemetry.model.records import Content


def subscription(name: str = "ext", port: int = 4243) -> Subscription:
    return Subscription(
        extension_name=name,
        extension_id="00000000-0000-4000-8000-000000000001",
        schema_version="2025-01-29",
        types=("platform", "function", "extension"),
        destination=Destination(protocol="HTTP", uri=f"http://sandbox:{port}", host="sandbox", port=port),
        buffering=Buffering(),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        content=Content(Headers(), b"{}", json.loads),
    )

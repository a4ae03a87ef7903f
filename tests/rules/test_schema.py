"""What Lambda makes up about a runtime and an environment, always the same."""

import re

import pytest

from pytest_lambda_telemetry.protocol.schema import RUNTIME, instance_id, runtime_arn, runtime_version


@pytest.mark.parametrize(
    ("identifier", "version"),
    [
        ("python3.13", "python:3.13.v1"),
        ("provided.al2023", "provided:al2023.v1"),
        ("provided", "provided.v1"),
        ("python3.14.DurableFunction", "python:3.14.DurableFunction.v1"),
        ("nodejs22.x", "nodejs:22.v1"),
        ("nodejs24.x.DurableFunction", "nodejs:24.DurableFunction.v1"),
        ("java8.al2", "java:8.al2.v1"),
        ("dotnet8", "dotnet:8.v1"),
        ("ruby3.4", "ruby:3.4.v1"),
    ],
)
def test_the_version_of_a_runtime(identifier: str, version: str) -> None:
    assert RUNTIME.fullmatch(identifier)
    assert runtime_version(identifier) == version


@pytest.mark.parametrize("identifier", ["", "3.13", "Python3.13", "python 3.13", "python3..13", "python3.13.", "a:b"])
def test_what_is_no_runtime(identifier: str) -> None:
    assert not RUNTIME.fullmatch(identifier)


def test_the_arn_of_a_runtime_names_its_region_and_goes_with_its_version() -> None:
    arn = runtime_arn("python:3.13.v1", "eu-west-1")
    assert re.fullmatch(r"arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}", arn)
    assert arn == runtime_arn("python:3.13.v1", "eu-west-1")
    assert arn[-64:] != runtime_arn("python:3.14.v1", "eu-west-1")[-64:]


def test_an_instance_id_is_shaped_like_the_name_of_a_log_stream() -> None:
    made = instance_id("$LATEST", "2026/07/28", "a")
    assert re.fullmatch(r"2026/07/28/\[\$LATEST\][0-9a-f]{32}", made)
    assert made == instance_id("$LATEST", "2026/07/28", "a")
    assert made != instance_id("$LATEST", "2026/07/28", "b")

"""Routes: paths as a table, with parameters where a service wants them."""

from pytest_lambda_telemetry.api.routes import LAMBDA, NAMES, Route, Routes


def test_every_route_of_lambda_is_found_by_its_path_without_the_query() -> None:
    found = LAMBDA.find("/2022-07-01/telemetry?x=1")
    assert found is not None
    assert (found.route.method, found.route.name) == ("PUT", "subscribe")
    assert LAMBDA.find("/2022-07-01") is None


def test_a_trailing_slash_is_tolerated_on_telemetry_alone() -> None:
    assert LAMBDA.find("/2022-07-01/telemetry/") == LAMBDA.find("/2022-07-01/telemetry")
    assert LAMBDA.find("/2022-07-01/telemetry/?x=1") is not None
    assert LAMBDA.find("/2022-07-01/telemetry//") is None
    for path in ("/2020-01-01/extension/register", "/2020-01-01/extension/event/next", "/2020-08-15/logs"):
        assert LAMBDA.find(path) is not None
        assert LAMBDA.find(f"{path}/") is None
    routes = Routes([Route("GET", "/a/{id}", "x", slash=True), Route("GET", "/b/{id}", "y")])
    assert routes.find("/a/1/") is not None
    assert routes.find("/b/1/") is None


def test_each_name_that_reject_next_takes_is_a_route() -> None:
    paths = ("extension/register", "extension/event/next", "extension/init/error", "extension/exit/error")
    found = [LAMBDA.find(f"/2020-01-01/{path}") for path in paths] + [LAMBDA.find("/2020-08-15/logs")]
    assert {one.route.name for one in found if one} == set(NAMES)


def test_a_parameter_stands_for_one_segment() -> None:
    routes = Routes([Route("POST", "/2018-06-01/runtime/invocation/{request_id}/response", "response")])
    found = routes.find("/2018-06-01/runtime/invocation/abc-1/response")
    assert found is not None
    assert found.parameters == {"request_id": "abc-1"}
    assert routes.find("/2018-06-01/runtime/invocation/a/b/response") is None
    assert routes.find("/2018-06-01/runtime/invocation//response") is None


def test_what_looks_like_a_pattern_is_taken_as_written() -> None:
    routes = Routes([Route("GET", "/a.b/{id}", "x")])
    assert routes.find("/aXb/1") is None
    assert routes.find("/a.b/1") is not None

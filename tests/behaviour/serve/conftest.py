"""One server for the tests of a module, with a fresh environment in each of them."""

from collections.abc import Iterator

import pytest

from tests.support.server import Client, Running, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving() as running:
        yield running
        assert running.end() == (0, "", "")


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with server.client() as made:
        made.do("reset")
        yield made
        made.do("reset")

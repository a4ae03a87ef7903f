"""The loopback address of an environment: which it is, and whether the platform has it."""

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pytest_lambda_telemetry.host import addresses
from pytest_lambda_telemetry.host.addresses import LOOPBACK, address_of, own_address, usable
from pytest_lambda_telemetry.real import Real

WELL_KNOWN = ["127.0.0.0/16", "127.255.0.0/16"]  # resolvers (.0.53), Debian's own name (.1.1), Docker's (.0.11), …

pids = st.integers(1, 2**22)
numbers = st.integers(0, 1_000_000)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    addresses.has_many.cache_clear()
    yield
    addresses.has_many.cache_clear()


@given(pids, numbers)
def test_an_address_is_a_loopback_address_and_none_that_is_well_known(pid: int, number: int) -> None:
    address = ipaddress.ip_address(address_of(pid, number))
    assert address.is_loopback
    assert not any(address in ipaddress.ip_network(known) for known in WELL_KNOWN)
    assert address.packed[-1] not in (0, 255)


@given(pids, numbers)
def test_it_is_made_of_process_and_number_alone(pid: int, number: int) -> None:
    assert address_of(pid, number) == address_of(pid, number)


@given(pids, numbers, st.integers(1, 65_023))
def test_environments_of_one_process_do_not_meet(pid: int, number: int, further: int) -> None:
    assert address_of(pid, number) != address_of(pid, number + further)


@given(pids, numbers, numbers, st.integers(1, 253))
def test_neighbouring_processes_do_not_meet(pid: int, number: int, other: int, further: int) -> None:
    assert address_of(pid, number) != address_of(pid + further, other)


def test_processes_far_from_each_other_do_not_meet_in_their_first_thousand_tests() -> None:
    """Their second octets are the same: two runs on one machine, a whole number of rounds apart."""
    first = {address_of(1000, number) for number in range(1000)}
    for rounds in range(1, 20):
        assert first.isdisjoint(address_of(1000 + 254 * rounds, number) for number in range(1000))


def test_no_two_processes_begin_with_the_same_address() -> None:
    assert len({address_of(pid, 0) for pid in range(1, 2**22, 97)}) == len(range(1, 2**22, 97))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the whole of 127.0.0.0/8 is Linux's")
def test_on_linux_an_environment_has_an_address_of_its_own() -> None:
    assert own_address(3) == address_of(os.getpid(), 3)
    assert usable(own_address(3))


def test_where_the_platform_has_only_one_it_is_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS."""

    class OneAddress(socket.socket):
        def bind(self, address: Any) -> None:
            if address[0] != LOOPBACK:
                raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
            super().bind(address)

    monkeypatch.setattr(Real, "socket", OneAddress)
    assert usable(LOOPBACK)
    assert [own_address(number) for number in range(3)] == [LOOPBACK] * 3


def test_the_platform_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(addresses, "usable", asked.append)
    assert [own_address(number) for number in range(3)] == [LOOPBACK] * 3
    assert len(asked) == 1


def test_two_environments_listen_on_the_same_port() -> None:
    one, two = own_address(1), own_address(2)
    if one == two:
        pytest.skip("this machine has one loopback address")
    with closing(socket.socket()) as first, closing(socket.socket()) as second:
        first.bind((one, 0))
        second.bind((two, first.getsockname()[1]))
        first.listen()
        second.listen()

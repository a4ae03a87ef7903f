"""A loopback address for each environment, so that extensions on fixed ports meet no other extension there.

All of 127.0.0.0/8 is this machine on Linux; macOS has 127.0.0.1 alone until somebody adds more.
"""

import functools
import os
import socket

from ..real import Real

LOOPBACK = "127.0.0.1"

_LAST_OCTETS = 254  # 1 to 254: neither the network's own .0 nor .255
_BLOCK = 256 * _LAST_OCTETS  # the addresses that share their second octet
_BLOCKS = 254  # second octets 1 to 254: whatever is well known begins with 127.0 or 127.255
_STRIDE = 40_187  # without a common divisor with _BLOCK, and far from its simple fractions
_PROBED = "127.254.255.254"
_PROBE_TIMEOUT_S = 1.0


def address_of(pid: int, number: int) -> str:
    """The address of this process's environment of this number; made of the two, and of nothing else.

    It is none that a resolver or a distribution uses. One process has 65,024 of them before the first comes again;
    processes whose ids differ by less than 254 share none, and all others start far from each other.
    """
    third, fourth = divmod((number + pid // _BLOCKS * _STRIDE) % _BLOCK, _LAST_OCTETS)
    return f"127.{pid % _BLOCKS + 1}.{third}.{fourth + 1}"


def own_address(number: int) -> str:
    """The address for this process's environment of this number; 127.0.0.1 where the platform has no other."""
    return address_of(os.getpid(), number) if has_many() else LOOPBACK


@functools.cache
def has_many() -> bool:
    """Whether this machine can be reached at loopback addresses other than 127.0.0.1; found out once per process."""
    return usable(_PROBED)


def usable(address: str) -> bool:
    """Whether one can listen at this address, and connect to it."""
    try:
        with _socket() as server, _socket() as client:
            server.bind((address, 0))
            server.listen()
            client.connect(server.getsockname())
    except OSError:
        return False
    return True


def _socket() -> socket.socket:
    made = Real.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(_PROBE_TIMEOUT_S)
    return made

"""Python start-up hook of a child: `sandbox.localdomain` and `sandbox` resolve to the environment's address.

Found through PYTHONPATH where the machine allows no mount namespace; a variable has the address. Runs in the
extension's interpreter, whichever version that is: it uses nothing but the standard library and the oldest syntax of
Python 3. A sitecustomize that it hides is run after it.
"""

import importlib.machinery
import os
import socket
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_NAMES = ("sandbox.localdomain", "sandbox")
_LOOPBACK = "127.0.0.1"
_ADDRESS = os.environ.get("PYTEST_LAMBDA_TELEMETRY_SANDBOX_ADDRESS") or _LOOPBACK


def _translated(host: object) -> object:
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    if isinstance(name, str) and name.lower().rstrip(".") in _NAMES:
        return _ADDRESS
    return host


def _translate(owner: object, name: str, of_address: bool) -> None:
    """Replace `owner.name` by the same with the host translated: in an address, or as the first argument."""
    found = getattr(owner, name)

    def ask(host: object, *args: object, **kwargs: object) -> object:
        return found(_translated(host), *args, **kwargs)

    def reach(sock: object, address: object) -> object:
        if isinstance(address, tuple) and address:
            address = (_translated(address[0]), *address[1:])
        return found(sock, address)

    setattr(owner, name, reach if of_address else ask)


def _gethostbyaddr(host: object, _found: object = socket.gethostbyaddr) -> object:
    """An address of our own has no name in the system's hosts file, and every `http.server` asks for it."""
    host = _translated(host)
    own = host == _ADDRESS != _LOOPBACK
    if own:
        return _NAMES[0], [_NAMES[1]], [_ADDRESS]
    return _found(host)  # type: ignore[operator]  # typed as `object`: a child imports no typing for us


def _run_hidden() -> None:
    """Run the sitecustomize that this one stands before, under its own name."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = type(sys)(spec.name)
        module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    _translate(socket, _name, False)
socket.gethostbyaddr = _gethostbyaddr  # type: ignore[assignment]  # it takes any object
for _name in ("bind", "connect", "connect_ex"):
    _translate(socket.socket, _name, True)
_run_hidden()

"""Run a program in a mount namespace of its own where `sandbox.localdomain` and `sandbox` resolve. Linux only.

`launch.py user|mount REPORT_FD DIRECTORY HOSTS_LINE PROGRAM ARGV0 [ARG…]`, run as a script by the interpreter of the
tests. It puts its own copy of the hosts file, with this line, over /etc/hosts, in its namespace alone, and becomes the
program: same process id, group, session, working directory and streams, and byte for byte the environment it was
started with. `user` adds a user namespace, which takes no privilege; the program keeps its user id there. On failure
it writes the errno to REPORT_FD, which the program does not inherit.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SLAVE = 0x80000
_HOSTS = b"/etc/hosts"


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_namespace(new_user: bool, directory: str, hosts_line: str) -> None:
    """Leave the machine's mounts for a copy of them, and mount a hosts file with this line."""
    libc = ctypes.CDLL(None, use_errno=True)
    identities = {"uid_map": os.geteuid(), "gid_map": os.getegid()}
    _checked(libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if new_user else 0)))
    if new_user:
        _write("/proc/self/setgroups", "deny")  # without it the kernel refuses an unprivileged gid_map
        for name, identity in identities.items():
            _write(f"/proc/self/{name}", f"{identity} {identity} 1")
    _checked(libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))  # what we mount stays here
    copy = os.path.join(directory, f"pytest-lambda-telemetry-hosts-{os.urandom(8).hex()}")
    with open(copy, "xb") as file, open(_HOSTS, "rb") as hosts:
        file.write(hosts_with(hosts_line.encode(), hosts.read()))
    try:
        os.chmod(copy, 0o644)
        _checked(libc.mount(os.fsencode(copy), _HOSTS, None, _MS_BIND, None))
    finally:
        os.unlink(copy)  # the mount keeps the file, and its last process takes it along


def hosts_with(line: bytes, text: bytes) -> bytes:
    """This hosts file with this line before all others, which lose the line's names: some resolvers ask for all."""
    names = line.split()[1:]
    kept = [line + b"\n"]
    for other in text.splitlines(keepends=True):
        address, *others = other.partition(b"#")[0].split() or [b""]
        rest = [name for name in others if name.lower() not in names]
        if rest == others:
            kept.append(other)
        elif rest:
            kept.append(b" ".join([address, *rest]) + b"\n")
    return b"".join(kept)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def initial_environment() -> dict[bytes, bytes]:
    """The environment as this process was given it: Python adds LC_CTYPE to its own in the C locale."""
    with open("/proc/self/environ", "rb") as file:
        given = file.read()
    return {name: value for name, mark, value in (item.partition(b"=") for item in given.split(b"\0")) if mark}


def main(mode: str, report: str, directory: str, hosts_line: str, program: str, *argv: str) -> None:
    os.set_inheritable(int(report), False)
    try:
        environment = initial_environment()
        enter_namespace(mode == "user", directory, hosts_line)
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)  # Python ignores them, and exec would hand that on
        os.execve(program, argv, environment)
    except OSError as error:
        os.write(int(report), str(error.errno).encode())
        os._exit(127)


if __name__ == "__main__":
    main(*sys.argv[1:])

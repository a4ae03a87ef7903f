"""Run a program in a mount namespace of its own where `sandbox.localdomain` and `sandbox` resolve. Linux only.

`launch.py user|mount REPORT_FD DIRECTORY HOSTS_LINE LAYER PLACE CWD PROGRAM ARGV0 [ARG…]`, run as a script by the
interpreter of the tests. It puts its own copy of the hosts file, with this line, over /etc/hosts, in its namespace
alone, and becomes the program: same process id, group, session, working directory and streams, and byte for byte the
environment it was started with. `user` adds a user namespace, which takes no privilege; the program keeps its user id
there. On failure it writes the step and the errno to REPORT_FD, which the program does not inherit.

With a LAYER, a folder, that is what the program sees at PLACE, read-only as on Lambda; it then starts in CWD. Without
one all three are empty. Where the machine has no folder at PLACE, the program gets a root directory of its own with
everything that is in the machine's.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY = 0x1
_MS_REMOUNT = 0x20
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_UNBINDABLE = 0x20000
_MS_PRIVATE = 0x40000
_MS_SLAVE = 0x80000
_KEPT = 0xC0E  # nosuid, nodev, noexec, noatime, nodiratime: the same bits in statvfs and in mount
_ST_RELATIME, _MS_RELATIME = 0x1000, 0x200000
_MNT_DETACH = 2
_HOSTS = "/etc/hosts"
_ROOT = "/"


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _checked(_libc().mount(*encoded, flags, None))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def enter_namespace(new_user: bool, directory: str, hosts_line: str) -> None:
    """Leave the machine's mounts for a copy of them, and mount a hosts file with this line."""
    identities = {"uid_map": os.geteuid(), "gid_map": os.getegid()}
    _checked(_libc().unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if new_user else 0)))
    if new_user:
        _write("/proc/self/setgroups", "deny")  # without it the kernel refuses an unprivileged gid_map
        for name, identity in identities.items():
            _write(f"/proc/self/{name}", f"{identity} {identity} 1")
    _mount(None, _ROOT, None, _MS_REC | _MS_SLAVE)  # what we mount stays here
    copy = os.path.join(directory, f"pytest-lambda-telemetry-hosts-{os.urandom(8).hex()}")
    with open(copy, "xb") as file, open(_HOSTS, "rb") as hosts:
        file.write(hosts_with(hosts_line.encode(), hosts.read()))
    try:
        os.chmod(copy, 0o644)
        _mount(copy, _HOSTS, None, _MS_BIND)
    finally:
        os.unlink(copy)  # the mount keeps the file, and its last process takes it along


def mount_layer(layer: str, place: str, directory: str) -> None:
    """Show this folder at this place."""
    if os.path.isdir(place):
        _show(layer, place)
    else:
        _enter_root_with(layer, os.path.basename(place), directory)


def _show(layer: str, place: str) -> None:
    """Mount the folder there, with all that is mounted in it, then make it read-only."""
    _mount(layer, place, None, _MS_BIND | _MS_REC)
    flags = os.statvfs(place).f_flag
    flags = flags & _KEPT | (_MS_RELATIME if flags & _ST_RELATIME else 0)  # without privilege none may be taken away
    _mount(None, place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags)


def _enter_root_with(layer: str, name: str, directory: str) -> None:
    """Make a root directory that has all entries of the machine's, and the layer under this name; and go there."""
    root = os.path.join(directory, f"pytest-lambda-telemetry-root-{os.urandom(8).hex()}")
    os.mkdir(root, 0o700)
    try:
        _mount("tmpfs", root, "tmpfs", 0)
        try:
            _mount(None, root, None, _MS_UNBINDABLE)  # else it would be in its own copy of what it lies in
            for entry in os.scandir(_ROOT):
                if entry.name != name:
                    _copy(entry, os.path.join(root, entry.name))
            os.mkdir(os.path.join(root, name))
            _show(layer, os.path.join(root, name))
            os.chmod(root, 0o755)
            os.chdir(root)
            _checked(_libc().pivot_root(b".", b"."))  # the old root is now above the new one
        except OSError:
            _libc().umount2(os.fsencode(root), _MNT_DETACH)
            raise
        _checked(_libc().umount2(b".", _MNT_DETACH))
        os.chdir(_ROOT)
        _mount(None, _ROOT, None, _MS_PRIVATE)
    finally:
        os.rmdir(root)


def _copy(entry: "os.DirEntry[str]", target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), target)
        return
    if entry.is_dir():
        os.mkdir(target)
    else:
        open(target, "xb").close()
    _mount(entry.path, target, None, _MS_BIND | _MS_REC)


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


def main(
    mode: str,
    report: str,
    directory: str,
    hosts_line: str,
    layer: str,
    place: str,
    cwd: str,
    program: str,
    *argv: str,
) -> None:
    os.set_inheritable(int(report), False)
    step = "namespace"
    try:
        environment = initial_environment()
        enter_namespace(mode == "user", directory, hosts_line)
        if layer:
            step = "layer"
            mount_layer(layer, place, directory)
            step = "directory"
            os.chdir(cwd)
        step = "program"
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)  # Python ignores them, and exec would hand that on
        os.execve(program, argv, environment)
    except OSError as error:
        os.write(int(report), f"{step} {error.errno}".encode())
        os._exit(127)


if __name__ == "__main__":
    main(*sys.argv[1:])

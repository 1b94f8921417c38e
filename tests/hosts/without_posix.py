"""Runs `priot` as on Windows: without_posix.py ARGUMENT...; "--import" imports every module.

For priot's own modules alone, what only POSIX has is not there: modules, functions, signals.
Libraries keep what they need to run on the machine that tests.
"""

import builtins
import importlib
import os
import select
import signal
import sys
import warnings
from types import ModuleType

MODULES = {"fcntl", "termios", "pty", "tty", "resource", "pwd", "grp", "posix", "syslog"}
MISSING = {
    "os": (os, """fork forkpty killpg getuid geteuid getgid getegid getpgid getpgrp setsid setpgid
           setpgrp openpty ttyname wait wait3 wait4 mkfifo mknod nice chown lchown chroot
           getloadavg uname sysconf fchmod fchown O_NOCTTY O_NONBLOCK O_CLOEXEC
           WNOHANG""".split()),
    "signal": (signal, """SIGKILL SIGHUP SIGQUIT SIGALRM SIGUSR1 SIGUSR2 SIGPIPE SIGCHLD SIGTSTP
               SIGWINCH alarm setitimer pthread_sigmask pthread_kill sigwait""".split()),
    "select": (select, ["poll", "epoll"]),
}
# What emulates boards runs a process behind a pty: it says in a line that it cannot.
EMULATORS = "priot.emulator"


def without(module: ModuleType, names: list[str]) -> ModuleType:
    """A module with less in it."""
    less = ModuleType(module.__name__)
    less.__dict__.update({name: value for name, value in vars(module).items()
                          if name not in names})
    return less


def install() -> None:
    """Let modules of priot import only what every host has."""
    warnings.simplefilter("ignore", EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=r"priot\.board")
    real = builtins.__import__
    views = {name: without(*what) for name, what in MISSING.items()}

    def importer(name, globals=None, locals=None, fromlist=(), level=0):
        asking = (globals or {}).get("__name__", "").partition(".")[0]
        if asking == "priot" and level == 0:
            if name.partition(".")[0] in MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name.partition(".")[0] in views:
                return views[name.partition(".")[0]]
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = importer


def import_all() -> None:
    """Import every module of the host but the emulators' and print how many there are."""
    import priot

    n = 0
    for folder, _, names in os.walk(priot.__path__[0]):
        package = ".".join(["priot", *os.path.relpath(folder, priot.__path__[0]).split(os.sep)])
        package = package.removesuffix("..")
        for name in sorted(names):
            module = f"{package}.{name.removesuffix('.py')}".removesuffix(".__init__")
            if name.endswith(".py") and not module.startswith(EMULATORS):
                try:
                    importlib.import_module(module)
                    n += 1
                except ModuleNotFoundError as error:
                    if error.name != "torch":
                        raise
                except Exception as error:
                    if type(error).__name__ != "PriotError" or "emulated" not in str(error):
                        raise
    print(n, "modules")


if __name__ == "__main__":
    install()
    if sys.argv[1:] == ["--import"]:
        import_all()
    else:
        from priot.cli import main

        sys.exit(main(sys.argv[1:]))

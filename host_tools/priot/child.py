"""Child processes that end with their parent, however that ends."""

import os
import subprocess

# Reads until the parent's end of the pipe is closed, at the latest by its death; then the child
# gets time to end by itself.
_GUARD = """
read -r _
i=0
while [ $i -lt "$2" ] && kill -0 "$1"; do sleep 1; i=$((i + 1)); done
kill -KILL "$1"
"""


class Guard:
    """Sees to it that a child process does not outlive this one, even one that is killed.

    `grace_s`: seconds that the child then has to end by itself. `dismiss` must be called once the
    child has ended: its number may become another's. Without a shell (Windows) this does nothing.
    """

    def __init__(self, child: subprocess.Popen, grace_s: int = 0) -> None:
        self._process: subprocess.Popen | None = None
        if os.name == "posix":
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "priot-guard", str(child.pid), str(grace_s)],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd="/", start_new_session=True)  # a closed terminal must not end it

    def dismiss(self) -> None:
        """The child has ended; doing it again does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

"""Both cores of an RP2040 or RP2350: core 1 takes its share while priot trains or tests.

What is computed does not depend on it, to the byte. Core 1 is the user's outside of that.
"""

import sys

from . import backend
from .clock import ticks_diff, ticks_ms

_STACK = 2048  # bytes of core 1's stack, of which the kernels use a quarter
_STOPPING_MS = 10  # until a thread that was told to has ended

wanted = 2
at_work = 1  # how many compute now


def use(n):
    """Compute on one core, or on both where the board can: 2, which is the default."""
    if n not in (1, 2):
        raise ValueError("cores: %s, expected 1 or 2" % n)
    globals()["wanted"] = n


def available(kernels):
    """How many cores such kernels run on, if no other thread has core 1.

    MicroPython before 1.25 hangs at the next writing to flash once a thread has run and the board
    was soft-reset. Where threads share one interpreter, core 1 could never wait for core 0.
    """
    return 2 if (wanted == 2 and sys.platform == "rp2" and sys.implementation.version >= (1, 25)
                 and hasattr(kernels, "crew_wait")) else 1


class BothCores:
    """Within it the kernels run on both cores, where the board lets them: `fit` and `evaluate`
    do that by themselves, a loop of one's own around `learn` or `predict` wants it.

        with priot.BothCores():
            for image, label in samples:
                trainer.learn(image, label)

    kernels: None for those that networks loaded now use. verbose: say where another thread has
    core 1.
    """

    def __init__(self, kernels=None, verbose=True):
        self._kernels = kernels or backend.kernels
        self._verbose = verbose
        self._has_begun = False

    def __enter__(self):
        if at_work == 1 and available(self._kernels) == 2:
            try:
                self._begin()
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(self, *_):
        interrupted = False
        while self._has_begun:
            try:
                self._end()
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt

    def _begin(self):
        import _thread

        self._has_begun = True
        size = _thread.stack_size(_STACK)
        try:
            bytearray(2 * _STACK)  # where it has no room MicroPython thinks core 1 in use for ever
            self._start(_thread.start_new_thread)
        except OSError:
            self._give_up("core 1 is in use by another thread")
        except MemoryError:
            self._give_up("too little memory for core 1")
        finally:
            _thread.stack_size(size)

    def _start(self, start_new_thread):
        """Start the thread, once the one before, which may be ending, has ended. OSError."""
        wait, want = self._kernels.crew_wait, self._kernels.crew_want
        start = ticks_ms()
        while not want(1):  # else it was never told to end
            try:
                start_new_thread(wait, ())
                break
            except OSError:
                if ticks_diff(ticks_ms(), start) > _STOPPING_MS:
                    raise
        globals()["at_work"] = 2

    def _give_up(self, why):
        self._end()
        if self._verbose:
            print("%s: one core computes" % why)

    def _end(self):
        self._kernels.crew_want(0)
        globals()["at_work"] = 1
        self._has_begun = False

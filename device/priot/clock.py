"""A clock in microseconds that stands still where MicroPython's is missing (CPython)."""

try:
    from time import ticks_diff, ticks_us
except ImportError:

    def ticks_us():  # type: ignore[misc]
        """No clock: always 0."""
        return 0

    def ticks_diff(end, start):  # type: ignore[no-redef]
        """Microseconds from `start` to `end`."""
        return end - start

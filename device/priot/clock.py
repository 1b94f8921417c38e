"""Clocks that stand still where MicroPython's are missing (CPython)."""

try:
    from time import ticks_diff, ticks_ms, ticks_us
except ImportError:

    def ticks_us():  # type: ignore[misc]
        """No clock: always 0."""
        return 0

    def ticks_ms():  # type: ignore[misc]
        """No clock: always 0."""
        return 0

    def ticks_diff(end, start):  # type: ignore[no-redef]
        """Time from `start` to `end`."""
        return end - start


_US_WRAP_MS = 500000  # MicroPython's microseconds come round after twice 537 s


def elapsed_us(start_ms, start_us):
    """Microseconds since both clocks were read; of whole milliseconds where it took long."""
    ms = ticks_diff(ticks_ms(), start_ms)
    return 1000 * ms if ms > _US_WRAP_MS else ticks_diff(ticks_us(), start_us)

"""Blocks of memory: got whole, or refused with figures."""

import gc

RESERVE = 49152  # bytes of heap that layout="auto" and weights that come to RAM leave free


def aligned(n):
    """The next multiple of 4."""
    return (n + 3) & ~3


def allocate(n, where):
    """A zeroed block; MemoryError says how much was needed and how much there is."""
    try:
        return bytearray(n)
    except MemoryError:
        pass
    gc.collect()
    try:
        return bytearray(n)
    except MemoryError:
        raise MemoryError("%s: needs a block of %d bytes, the heap has %s" % (where, n, _free(n)))


def _free(n):
    """What is free, where a block of n bytes was not to be had."""
    free = gc.mem_free() if hasattr(gc, "mem_free") else 0
    return "%d free%s" % (free, ", in smaller pieces" if free >= n else "")

"""Blocks of memory: got whole, or refused with figures."""

import gc

RESERVE = 49152  # bytes of heap that layout="auto" and weights that come to RAM leave free


def aligned(n):
    """The next multiple of 4."""
    return (n + 3) & ~3


_held = []  # type: list[bytearray]  # that wait for who allocates as many bytes


def hold(n):
    """Keep the place of a block that will be allocated, while code comes in; where it has one."""
    try:
        _held.append(bytearray(n))
    except MemoryError:
        pass


def let_go(but=0):
    """Give back what was held and not allocated, but for blocks of so many bytes."""
    _held[:] = [block for block in _held if len(block) == but]


def allocate(n, where):
    """A zeroed block; MemoryError says how much was needed and how much there is."""
    for i in range(len(_held)):
        if len(_held[i]) == n:
            return _held.pop(i)
    try:
        return bytearray(n)
    except MemoryError:
        pass
    gc.collect()
    try:
        return bytearray(n)
    except MemoryError:
        raise MemoryError("%s: needs a block of %d bytes, the heap has %s" % (where, n, _free(n)))


def free_bytes():
    """Bytes of heap that are free, or held; very many on CPython."""
    gc.collect()
    if not hasattr(gc, "mem_free"):
        return 1 << 30
    return gc.mem_free() + sum([len(block) for block in _held])


def _free(n):
    """What is free, where a block of n bytes was not to be had."""
    free = gc.mem_free() if hasattr(gc, "mem_free") else 0
    return "%d free%s" % (free, ", in smaller pieces" if free >= n else "")

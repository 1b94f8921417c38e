"""Keeps the heap in one piece, and free of code that is needed once: imported before all else."""

import gc
import sys

# Without it MicroPython collects only when the heap is exhausted, and what lives long then lies
# scattered between garbage: on a Pico with network A in training the largest free block was 54 kB
# of 82 kB free, with it 79 kB. It costs 40 ms of the import.
_COLLECT_AFTER = 8192  # bytes allocated

PLANNING = "layout", "flash_layout", "blocks"  # modules that plan memory, for `unload`

if hasattr(gc, "threshold"):  # CPython has none
    gc.threshold(_COLLECT_AFTER)


def unload(*names):
    """Forget modules of the package that were imported for one use: their code is garbage then.

    What reads files and prepares a training takes 20 kB of heap: it is imported where it is
    wanted, inside functions, and given back before the training starts. Saving is not among it,
    since a save must not fail for memory. An import that may fail for memory stands within the
    `try` that this ends, whether its module is to stay or not: MicroPython 1.25 leaves the name of
    a module whose object found no memory, and crashes who imports it again.
    """
    if sys.implementation.name != "micropython":
        return  # on a PC, where tests hold on to them
    package = __name__[:__name__.rfind(".")]
    for name in names:
        try:
            _forget(package, name)
        except MemoryError:  # for the name; of what failed to come in there is garbage
            gc.collect()
            _forget(package, name)


def _forget(package, name):
    sys.modules.pop("%s.%s" % (package, name), None)
    if hasattr(sys.modules[package], name):
        delattr(sys.modules[package], name)

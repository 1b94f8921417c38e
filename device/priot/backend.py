"""Chooses the kernels once: native code, else viper.

Four modules hold native code. priot_portable has every kernel in portable C; priot_native, on
processors for which there is one, has those that are faster, for some layers only, priot_layers
those for the layers that imported networks consist of, and priot_backward those that train them.
`native` is all four, all but priot_native loaded where a layer needs them; `portable` is
priot_portable alone, which takes the least memory.
"""

import gc
import sys

from .fields import CONTRACT

_NAMES = ("native", "portable", "viper")


def use(wanted=None):
    """Choose a backend by name, or the fastest that is here with None; returns its name.

    Networks loaded afterwards use it. Raises ImportError if the wanted one is not installed, or
    none, and ValueError if the native module on the path was built for another processor.
    """
    if wanted is not None and wanted not in _NAMES:
        raise ValueError("backend: %s is none of %s" % (wanted, ", ".join(_NAMES)))
    for candidate in _NAMES:
        if wanted is None or wanted == candidate:
            found = _find(candidate)
            if found is not None:
                globals().update({"kernels": found, "name": candidate})
                return candidate
    raise ImportError("backend: %s here; install the packaged files of priot" % (
        "no kernels run" if wanted is None else "%s does not run" % wanted))


def __getattr__(attribute):
    """`kernels` and `name` before anything was chosen: until then no module takes memory."""
    if attribute in ("kernels", "name"):
        use()
        return globals()[attribute]
    raise AttributeError(attribute)


def portable(kernels):
    """The kernels for what a backend's own do not take: every kernel of DESIGN.md is there.

    Raises ImportError if the board has no priot_portable.mpy.
    """
    if hasattr(kernels, "max_pool_forward"):
        return kernels
    found = native_module("priot_portable")
    if found is None:
        raise ImportError("priot_portable.mpy: not installed; a layer needs its kernels")
    return found


def layers(kernels, name="priot_layers"):
    """The fast kernels for more layers that stand beside a backend's own; None: there are none.

    name: or "priot_backward", what trains such layers.
    """
    if kernels.__name__ != "priot_native":
        return None
    found = native_module(name)
    if found is not None:
        found.borrow(kernels.lent)  # the cores, and the check of operands
    return found


def _find(candidate):
    if candidate == "native":
        return native_module("priot_native") or native_module("priot_portable")
    if candidate == "portable":
        return native_module("priot_portable")
    try:
        from . import kernels_viper
    except (ImportError, SyntaxError, TypeError):  # not there, no native emitter, not packaged
        return None
    return kernels_viper


def native_module(name):
    """A module of native code, None if there is none; ValueError for one that is not ours."""
    if name not in sys.modules:
        gc.collect()  # it wants one large block
    try:
        found = __import__(name)
    except MemoryError:
        sys.modules.pop(name, None)  # see heap.unload
        raise
    except ImportError:
        return None
    except ValueError as e:
        raise ValueError("%s.mpy: %s; copy the module built for this board" % (name, e))
    if getattr(found, "contract", 0) != CONTRACT:
        raise ValueError("%s.mpy: is of another version of priot; copy package and modules of one"
                         % name)
    return found

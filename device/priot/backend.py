"""Chooses the kernels once: the native module, else viper, else plain Python."""

kernels = None
name = ""

_NAMES = ("native", "viper", "plain")


def use(wanted=None):
    """Choose a backend by name, or the fastest that is here with None; returns its name.

    Networks loaded afterwards use it. Raises ImportError if the wanted one is not installed and
    ValueError if the native module on the path was built for another processor.
    """
    global kernels, name
    if wanted is not None and wanted not in _NAMES:
        raise ValueError("backend: %s is none of native, viper, plain" % wanted)
    for candidate in _NAMES:
        if wanted is None or wanted == candidate:
            found = _find(candidate)
            if found is not None:
                kernels = found
                name = candidate
                return name
    raise ImportError("backend: %s is not installed" % wanted)


def _find(candidate):
    if candidate == "plain":
        from . import kernels_plain  # here: 9 kB of heap that a board with another one keeps

        return kernels_plain
    if candidate == "viper":
        try:
            from . import kernels_viper
        except (ImportError, SyntaxError):  # CPython, or a port without the native emitter
            return None
        return kernels_viper
    try:
        import priot_native
    except ImportError:
        return None
    except ValueError as e:
        raise ValueError("priot_native.mpy: %s; copy the module built for this board" % e)
    return priot_native


use()

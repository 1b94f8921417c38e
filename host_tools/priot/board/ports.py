"""Finds the port of a board, and says why one cannot be opened."""

import fcntl
import os

from serial.tools import list_ports

from priot.board.errors import BoardError
from priot.paths import PICO_PORT

_RASPBERRY_PI = 0x2E8A  # USB vendor of MicroPython on RP2040 boards


def boards() -> list[str]:
    """Ports at which a board with MicroPython's usual USB ids is plugged in."""
    return [port.device for port in list_ports.comports() if port.vid == _RASPBERRY_PI]


def only_board() -> str:
    """The port of the one board that is plugged in, or of the emulated Pico that is on.

    Raises BoardError for none or several.
    """
    found = boards() + ([str(PICO_PORT)] if PICO_PORT.exists() else [])
    if len(found) == 1:
        return found[0]
    if found:
        raise BoardError("port", f"several boards are plugged in ({', '.join(found)}); "
                         "choose with --port")
    raise BoardError("port", "no board is plugged in; name its port with --port, or use "
                     "--target emulator")


def explain_refusal(port: str) -> str:
    """Why a port that could not be opened did not open, and what to do."""
    if "://" in port:
        return "no connection; is the board, or its emulator, running there?"
    if not os.path.exists(port):
        if os.path.basename(port) == "port" and PICO_PORT.exists():
            return f"no such port; that of the emulated Pico is {PICO_PORT}"
        if os.path.basename(port) == "port":
            return "no such port; the emulated Pico is off, 'make pico' starts it"
        others = boards()
        here = f"boards are at {', '.join(others)}" if others else "no board is plugged in"
        return f"no such port; {here}"
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except PermissionError:
        return "no permission; add yourself to the group that owns it, mostly dialout"
    except OSError as error:
        return f"cannot be opened: {error.strerror}; unplug the board and plug it in"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return "in use by another program; close mpremote, the editor or terminal that has it"
    finally:
        os.close(handle)
    return "is no serial port that works"

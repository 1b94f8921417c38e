"""Finds the port of a board, and says why one cannot be opened."""

import errno
import os
import re

import serial
from serial.tools import list_ports

from priot.board.errors import BoardError
from priot.paths import PICO_PORT

_RASPBERRY_PI = 0x2E8A  # USB vendor of MicroPython on RP2040 boards
_IN_USE = "in use by another program; close mpremote, the editor or terminal that has it"


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
    if not _is_there(port):
        return _not_there(port)
    try:
        serial.Serial(port, exclusive=True).close()
    except (OSError, ValueError) as error:  # pyserial's exception is an OSError
        return _reason(error, port)
    return "is no serial port that works"


def _is_there(port: str) -> bool:
    name = port.removeprefix("\\\\.\\").casefold()  # the long name of a port of Windows
    return os.path.exists(port) or any(
        name == found.device.casefold() for found in list_ports.comports())


def _not_there(port: str) -> str:
    if os.path.basename(port) == "port" and PICO_PORT.exists():
        return f"no such port; that of the emulated Pico is {PICO_PORT}"
    if os.path.basename(port) == "port":
        return "no such port; the emulated Pico is off, 'make pico' starts it"
    others = boards()
    here = f"boards are at {', '.join(others)}" if others else "no board is plugged in"
    return f"no such port; {here}"


def _reason(error: Exception, port: str) -> str:
    """What pyserial's exception means: on Windows its text alone has the cause."""
    text = str(error)
    if "PermissionError(13" in text:
        return _IN_USE
    if "FileNotFoundError" in text:
        return _not_there(port)
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EBUSY):
        return _IN_USE
    if number in (errno.EACCES, errno.EPERM):
        return "no permission; add yourself to the group that owns it, mostly dialout"
    if number is None or re.search("configure port", text):
        return "is no serial port that works"
    return f"cannot be opened: {os.strerror(number)}; unplug the board and plug it in"

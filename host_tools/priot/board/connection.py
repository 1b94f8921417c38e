"""The raw REPL of a board, through mpremote's transport: run code there, read what it prints."""

import contextlib
import io
import struct
import sys
from collections.abc import Callable, Iterator

from mpremote.transport import TransportError
from serial import SerialException
from tqdm import tqdm

from priot.board.errors import BoardBusy, BoardError, BoardGone, BoardRefused
from priot.board.lock import PortLock
from priot.board.ports import explain_refusal
from priot.transport import BoardTransport

_WAKE_S = 12.0  # a kernel in C cannot be interrupted; the slowest takes seconds
ANSWER_S = 60.0  # erasing one sector of flash takes up to 0.4 s, littlefs may move many
_NOTICE_S = 10.0  # after which a wait is told of
_POLL_S = 0.2  # how soon Ctrl-C on the host is noticed
_END = b"\x04"  # after what the code printed, and after its traceback
_PROMPT = b">"
REPEAT = " and repeat the command"  # the end of a message


class Connection:
    """An exclusive connection to a board that obeys: any program on it has been interrupted.

    `prelude` is code to run after every soft reset; `interruptible`, whether Ctrl-C reaches a
    running program; `show_waits`, whether a long wait is told of on stderr. `doing` is what a
    failure would interrupt, for its message, and `advice` what to do about a long silence.
    Time-outs count in the board's time, see BoardTransport. Raises BoardError for a port that
    cannot be opened or a board that does not answer; every method may raise BoardGone.
    """

    def __init__(self, port: str, prelude: str = "", interruptible: bool = True,
                 show_waits: bool = False) -> None:
        self.port = port
        self.show_waits = show_waits
        self.prelude = prelude
        self.interruptible = interruptible
        self.doing = "connecting"
        self.advice = "repeat the command"
        self._lock = PortLock(port)
        try:
            self._transport = self._open()
            self._wake()
            self.soft_reset()
        except BaseException:
            self.close()
            raise

    def _open(self) -> BoardTransport:
        try:
            transport = BoardTransport(self.port, timeout=5)
        except (TransportError, SerialException, OSError, ValueError):
            raise BoardError(self.port, explain_refusal(self.port)) from None
        if not transport.is_emulated:  # whose port takes all or vanishes
            transport.serial.write_timeout = 10
        return transport

    def _wake(self) -> None:
        """Interrupt whatever runs until the friendly REPL shows its banner and prompt."""
        serial = self._transport.serial
        deadline = self._transport.clock() + _WAKE_S
        with self._translated(), self._timeout(0.5):
            while self._transport.clock() < deadline:
                serial.write(b"\r\x03\x02")
                seen = b""
                while (piece := serial.read(serial.in_waiting or 1)) and (
                        self._transport.clock() < deadline):
                    seen += piece
                    if seen.endswith(b">>> ") and b"MicroPython" in seen:
                        return
        raise BoardError(self.port, "does not answer: a program on the board ignores Ctrl-C; "
                         "unplug the board, plug it in and repeat the command")

    @contextlib.contextmanager
    def _timeout(self, seconds: float | None) -> Iterator[None]:
        serial = self._transport.serial
        before = serial.timeout
        if seconds != before:
            serial.timeout = seconds
        yield
        if seconds != before:
            serial.timeout = before

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what pyserial and mpremote raise when a port vanishes into BoardGone."""
        try:
            yield
        except (SerialException, TransportError, OSError, struct.error):
            # struct.error: mpremote unpacks a reply that never came
            raise BoardGone(self.port, f"the board went away while {self.doing}; plug it in"
                            + REPEAT) from None

    # ---- running code ------------------------------------------------------------------------

    def soft_reset(self) -> None:
        """Start MicroPython on the board anew: an empty heap; main.py does not run."""
        with self._translated(), contextlib.redirect_stdout(io.StringIO()):
            self._transport.enter_raw_repl(soft_reset=True)
            self._transport.read_until(1, _PROMPT)
        if self.prelude:
            self.execute(self.prelude)

    def start(self, code: str) -> None:
        """Start running code; what it prints is read by `receive` until it ends."""
        serial = self._transport.serial
        with self._translated():
            serial.write(b"\x05A\x01")  # raw paste, with flow control: MicroPython 1.14 or later
            if serial.read(2) != b"R\x01":
                raise TransportError("no raw paste")
            self._transport.raw_paste_write(code.encode())

    def execute(self, code: str, timeout_s: float | None = ANSWER_S) -> str:
        """Run code to its end; returns what it printed.

        Raises BoardRefused for an exception, BoardBusy where nothing is printed for `timeout_s`
        seconds; None waits as long as it takes.
        """
        self.start(code)
        return self.finish(timeout_s=timeout_s)

    def finish(self, seen: bytes = b"", timeout_s: float | None = ANSWER_S) -> str:
        """Read the rest of what the running code prints. Raises BoardRefused, BoardBusy."""
        while _END not in seen:
            seen += self.receive(timeout_s=timeout_s)
        output, _, error = seen.partition(_END)
        while not error.endswith(_END + _PROMPT):
            error += self.receive(timeout_s=timeout_s)
        traceback = error.partition(_END)[0].decode(errors="replace")
        if traceback:
            raise BoardRefused(self.port, traceback)
        return output.decode(errors="replace")

    def lines(self, code: str) -> Iterator[str]:
        """Run code and yield each line it prints, and "" now and then while it prints nothing.

        Raises BoardRefused for an exception on the board.
        """
        self.start(code)
        seen = end = b""
        while not end:
            seen += self.receive(_POLL_S)
            output, end, error = seen.partition(_END)
            *complete, seen = output.split(b"\n")
            if not complete:
                yield ""
            for line in complete:
                yield line.decode(errors="replace").rstrip("\r")
        self.finish(end + error)

    # ---- bytes -------------------------------------------------------------------------------

    def receive(self, poll_s: float | None = None,
                timeout_s: float | None = ANSWER_S) -> bytes:
        """Some bytes of what the board prints.

        With `poll_s`, b"" where none come in time, on the wall's clock; without, BoardBusy or
        BoardGone after `timeout_s` seconds of the board's.
        """
        if poll_s is not None:
            return self._read(poll_s, self._transport.read_now)
        read = self._transport.serial.read
        is_long = timeout_s is None or timeout_s > _NOTICE_S
        data = self._read(_NOTICE_S if is_long else timeout_s, read)
        if not data and is_long:
            if self.show_waits:
                tqdm.write(f"priot: {self.port}: waiting: the board has printed nothing for "
                           f"{_NOTICE_S:g} s while {self.doing}", file=sys.stderr)
            data = self._read(None if timeout_s is None else timeout_s - _NOTICE_S, read)
        if not data:
            raise self._silence(timeout_s)
        return data

    def _read(self, timeout_s: float | None, read: Callable[[int], bytes]) -> bytes:
        with self._translated(), self._timeout(timeout_s):
            return read(self._transport.serial.in_waiting or 1)

    def _silence(self, timeout_s: float | None) -> BoardError:
        """What it means that nothing came: a Ctrl-C tells whether the board is well."""
        what = f"the board printed nothing for {timeout_s:g} s while {self.doing}"
        if self.interruptible and self._stops():
            return BoardBusy(self.port, f"{what}; it is well, Ctrl-C has stopped that; "
                             f"{self.advice}")
        return BoardGone(self.port, f"{what}, and does not answer to Ctrl-C; unplug it, plug it in"
                         + REPEAT)

    def _stops(self) -> bool:
        """Whether Ctrl-C ends the code that runs."""
        self.interrupt()
        with self._translated():
            seen = self._transport.read_until(1, _END + _PROMPT, timeout_overall=_WAKE_S)
        return bool(seen.endswith(_END + _PROMPT))

    def send(self, data: bytes) -> None:
        """Bytes for the code that runs on the board, which reads them from sys.stdin."""
        with self._translated():
            self._transport.serial.write(data)

    def interrupt(self) -> None:
        """Ctrl-C to the code that runs on the board."""
        self.send(b"\x03")

    def close(self) -> None:
        """Leave the board at its friendly prompt and let others have the port."""
        transport = getattr(self, "_transport", None)
        if transport is not None:
            with contextlib.suppress(SerialException, OSError):
                transport.serial.write(b"\r\x03\x02")
                transport.serial.flush()
            with contextlib.suppress(SerialException, OSError):
                transport.close()
        self._lock.release()

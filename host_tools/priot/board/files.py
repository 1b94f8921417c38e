"""Files on a board: copied piece by piece under a temporary name, checked, then renamed."""

import ast
import contextlib
import hashlib
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from priot.board.connection import Connection
from priot.board.errors import BoardError, BoardGone, BoardRefused
from priot.board.interrupts import counted_ctrl_c
from priot.formats.container import KINDS, PREFIX, VERSION, Sound
from priot.formats.dataset import MAGIC, SIGNED, TABLE, VECTORS, unpack_head
from priot.planning.names import PART, RECORDS

PIECE = 3072  # bytes in a line of base64, as in on_board.py
_FLASH_FULL = 28  # errno
_FOLDER_BIT = 0x4000
_U32 = struct.Struct("<I")
_HELPER = Path(__file__).with_name("on_board.py")

Progress = Callable[[int], object]  # is told how many more bytes are done


@dataclass
class Entry:
    """A file or folder on the board."""

    name: str
    is_folder: bool
    size: int


@dataclass
class DatasetHead:
    """What a dataset file says before its samples."""

    version: int
    samples: int
    shape: tuple[int, int, int]
    classes: int
    names: tuple[str, ...]
    signed: bool = False
    n_targets: int = 0
    scaling: tuple = (0.0, 0, ())  # scale, zero, scales of a Dataset
    sound: Sound | None = None


class Files:
    """The file system of a connected board. Paths on it are absolute.

    Every method may raise BoardError: flash full, no such file, the board went away.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute(_HELPER.read_text("utf-8"))

    def digests(self, paths: Iterable[str]) -> dict[str, str]:
        """SHA-256 (hex) of each file that is there."""
        names = list(paths)
        if not names:
            return {}
        lines = self._connection.execute(f"digests({names!r})").splitlines()
        return {name: line.split()[1] for name, line in zip(names, lines, strict=True)
                if not line.startswith("-")}

    def has(self, data: bytes, path: str) -> bool:
        """Whether a file with exactly these bytes is there."""
        return self.digests([path]).get(path) == hashlib.sha256(data).hexdigest()

    def listing(self, folder: str = "/") -> list[Entry]:
        """What is in a folder; nothing where there is no such folder."""
        lines = self._connection.execute(f"listing({folder!r})").splitlines()
        found = [ast.literal_eval(line) for line in lines]
        return [Entry(name, bool(kind & _FOLDER_BIT), size) for name, kind, size in found]

    def free_bytes(self) -> int:
        """Free bytes of flash."""
        return int(self._connection.execute("print(free_bytes())"))

    def all_bytes(self) -> int:
        """Bytes of flash, free or not."""
        return int(self._connection.execute("print(all_bytes())"))

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it."""
        self._connection.execute(f"make_folder({path!r})")

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with what is in it, if it is there."""
        self._connection.execute(f"remove({path!r})")

    def put(self, data: bytes, path: str, progress: Progress = lambda n: None) -> None:
        """Copy bytes to a file, going on where an interrupted copy of the same bytes ended.

        The file appears under its name complete and checked, or not at all; one that was there
        stays as it is until then.
        """
        part = path + PART
        done = self._resume_at(data, part)
        self.check_space(path, len(data) - done, part if not done else None)
        progress(done)
        self._connection.doing = f"copying {path}"
        mode = "ab" if done else "wb"
        self._connection.start(f"put({part!r}, {mode!r}, {len(data) - done})")
        answer = b""
        for start in range(done, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._connection.send(b2a_base64(piece))
            answer = self._connection.receive()
            if answer[:1] != b"+":
                self._explain(answer, path, part)
            progress(len(piece))
        self._connection.finish(answer[1:])  # the end of the code may follow the last "+" at once
        self._verify(data, part)
        self._connection.execute(f"os.rename({part!r}, {path!r})")

    def _explain(self, answer: bytes, path: str, part: str) -> None:
        """Raise what the board complains about instead of taking a piece."""
        try:
            self._connection.finish(answer)
        except BoardRefused as error:
            if error.number == _FLASH_FULL:
                self.remove(part)
            raise
        raise BoardError(path, f"found {answer!r} from the board, expected '+'; repeat the "
                         "command")

    def _resume_at(self, data: bytes, part: str) -> int:
        """Bytes of `data` that a partial copy holds already; 0 where it is of something else."""
        size = self.size(part)
        if not 0 < size <= len(data):
            return 0
        found = self._connection.execute(f"print(digest({part!r}, {size}))").strip()
        return size if found == hashlib.sha256(data[:size]).hexdigest() else 0

    def check_space(self, path: str, n: int, replaced: str | None = None) -> None:
        """Refuse what cannot fit, before anything is written."""
        free = self.free_bytes()
        if replaced is not None:
            free += max(0, self.size(replaced))
        if n > free:
            port = self._connection.port
            raise BoardError(path, f"needs {n} bytes, the board's flash has {max(0, free)} free; "
                             f"remove files with 'mpremote connect {port} rm :NAME'")

    def _verify(self, data: bytes, part: str) -> None:
        found = self._connection.execute(f"print(digest({part!r}, {len(data)}))").strip()
        if found != hashlib.sha256(data).hexdigest():
            self.remove(part)
            raise BoardError(part, "arrived damaged and was removed; repeat the command")

    def append(self, records: bytes, path: str, head: bytes,
               progress: Progress = lambda n: None) -> bool:
        """Add records to a dataset file, which stays as it was until it is complete.

        `head` begins one that is not there. The records, behind the size that the dataset's file
        has without them, lie in a file of their own until they are known to be added: so a repeat
        after a failure at any moment adds nothing twice, and returns False where they were added
        before.
        """
        waiting = path + RECORDS
        size = max(0, self.size(path))
        is_begun = size == len(head) + len(records)  # it may be these samples that began it
        before = 0 if is_begun else size - len(records)
        is_added = (is_begun or before > 0) and self.has(_U32.pack(before) + records, waiting)
        if not is_added:
            data = _U32.pack(size) + records
            if not self.has(data, waiting):
                self.check_space(path, size + 2 * len(records), None)
                self.put(data, waiting, progress)
            self._connection.doing = f"adding samples to {path}"
        with counted_ctrl_c():  # whoever is told that it failed repeats it
            if not is_added:
                self._connection.execute(f"append({path!r}, {waiting!r}, {head!r})")
            with contextlib.suppress(BoardGone):  # the next to use the board will see that
                self.remove(waiting)
        return not is_added

    def forget_addition(self, path: str) -> None:
        """Remove samples that waited to be added to a dataset which has been replaced."""
        self.remove(path + RECORDS)

    def check_kind(self, path: str, magic: bytes) -> None:
        """Refuse to replace a file of another kind, as a model by a dataset."""
        if self.size(path) <= 0:
            return
        found = self._bytes(path, 0, 4)
        if found != magic:
            raise BoardError(path, f"on the board is {kind_of(found)}, not {kind_of(magic)}; "
                             "choose another name")

    def check_no_loss(self, path: str, source: Path | str, samples: int) -> None:
        """Refuse to replace a dataset on the board, unasked, that has grown there by `append`."""
        head = self.dataset_head(path)
        if head is not None and head.samples > samples:
            raise BoardError(source, f"holds {samples} samples, {path} on the board "
                             f"{head.samples}: bring it with 'priot pull', or replace it with "
                             "'priot push'")

    def dataset_head(self, path: str) -> DatasetHead | None:
        """What a dataset file on the board says before its samples; None unless there is one."""
        if self.size(path) < 0:
            return None
        n = PREFIX.size + TABLE.size
        start = self._bytes(path, 0, n)
        if start[:4] != MAGIC or len(start) < n:
            return None
        _, version, header_size, *_ = PREFIX.unpack_from(start)
        n_samples, channels, height, width, classes, *_ = TABLE.unpack_from(start, PREFIX.size)
        shape = channels, height, width
        if version != VERSION:
            return DatasetHead(version, n_samples, shape, classes, ())
        if header_size > n:
            start += self._bytes(path, n, header_size - n)
        *_, n_bytes, flags, names, scale, zero, scales, sound = unpack_head(
            start[PREFIX.size :], path)
        return DatasetHead(version, n_samples, shape, classes, names, bool(flags & SIGNED),
                           n_bytes if flags & VECTORS else 0, (scale, zero, scales), sound)

    def _bytes(self, path: str, start: int, n: int) -> bytes:
        """Some bytes of a file."""
        code = (f"with open({path!r}, 'rb') as f: f.seek({start}); "
                f"print(str(hexlify(f.read({n})), 'ascii'))")
        return bytes.fromhex(self._connection.execute(code))

    def size(self, path: str) -> int:
        """Bytes of a file, -1 if it is not there."""
        return int(self._connection.execute(f"print(size({path!r}))"))

    def get(self, path: str, progress: Progress = lambda n: None) -> bytes:
        """The bytes of a file, checked."""
        self._connection.doing = f"reading {path}"
        expected = self.digests([path]).get(path)
        if expected is None:
            raise BoardError(path, "no such file on the board; 'priot pull --list' shows what is")
        data = b""
        for line in self._connection.lines(f"get({path!r})"):
            piece = a2b_base64(line)
            data += piece
            progress(len(piece))
        if hashlib.sha256(data).hexdigest() != expected:
            raise BoardError(path, "arrived damaged; repeat the command")
        return data


def kind_of(magic: bytes) -> str:
    """A file by the first four bytes of it, in words."""
    return f"a {KINDS[magic]}".replace("a adapter", "an adapter") if magic in KINDS else (
        "another file")

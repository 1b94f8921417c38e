"""A board for a script: push data, train there, take the results."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import Any

import numpy as np

from priot.board import ports
from priot.board.connection import ANSWER_S, Connection
from priot.board.errors import BoardError
from priot.board.files import DatasetHead, Entry, Files, kind_of
from priot.board.info import BoardInfo, ask
from priot.board.install import Copied, copy_all, install
from priot.board.memory import Memory, measure
from priot.board.session import run_job
from priot.data.as_dataset import Source, as_dataset, reading_for
from priot.data.classes import renumbered
from priot.data.reading import Reading, listed
from priot.errors import mismatch
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.formats.container import KINDS, PREFIX, VERSION, write_file
from priot.jobs.evaluate import evaluate as run_evaluation
from priot.jobs.protocol import Event
from priot.jobs.train import TrainJob
from priot.jobs.train import train as run_training
from priot.planning.names import Names, board_path, dataset_path, given_path, host_path


class Board:
    """A board at a serial port, exclusively; connecting interrupts the program that runs there.

        with Board("/dev/ttyACM0") as board:
            board.append("kitchen.prd", images, labels, classes=10)
            train = board.pull("kitchen.prd")
            report = board.train("digits.priot", train, save="kitchen.scores")

    `port` None takes the only board that is plugged in. `prelude`, `interruptible`: see
    Connection. `stream` keeps the datasets of jobs on the host and sends samples as they are
    wanted, as is done anyway with those that do not fit into the flash. Every method raises
    PriotError, mostly BoardError, whose one line says what to do; a repeat completes the work.
    """

    def __init__(self, port: str | None = None, prelude: str = "",
                 show_progress: bool = False, stream: bool = False,
                 interruptible: bool = True) -> None:
        self.port = self.name = port or ports.only_board()
        self.show_progress = show_progress
        self.stream = stream
        self._helped: Files | None = None
        self._connection = Connection(self.port, prelude, interruptible, show_progress)
        try:
            self.info: BoardInfo = ask(self._connection)
            self.info.check(self.port)
        except BaseException:
            self.close()
            raise

    @property
    def _files(self) -> Files:
        """The file system; every soft reset takes its helper away from the board."""
        if self._helped is None:
            self._helped = Files(self._connection)
        return self._helped

    def _soft_reset(self) -> None:
        self._helped = None
        self._connection.soft_reset()

    # ---- files -------------------------------------------------------------------------------

    def deploy(self, model: Path | str | None = None,
               datasets: Sequence[Path | str] = ()) -> list[Copied]:
        """Bring the package, the native module, a model and datasets; what is there is skipped.

        A dataset that has grown on the board is not replaced (BoardError): `push` does that.
        """
        contents: dict[str, bytes] = {}
        names = Names()
        loaded = Model.read(model) if model is not None else None
        if model is not None:
            contents[names.give(board_path(model), model)] = Path(model).read_bytes()
        samples = {}
        for path in datasets:
            dataset = Dataset.read(path)
            if loaded is not None and dataset.names:
                dataset.labels_of(loaded, path)  # refuses classes of which the model knows nothing
            samples[names.give(board_path(path), path)] = len(dataset)
        for path in datasets:
            board_name = board_path(path)
            self._files.check_no_loss(board_name, path, samples[board_name])
            contents[board_name] = Path(path).read_bytes()
        copied = install(self._files, self.info.processor, self.show_progress)
        return copied + copy_all(self._files, contents, self.show_progress)

    def push(self, source: Source, labels: np.ndarray | None = None, name: str | None = None,
             classes: int | Sequence[str] | None = None,
             reading: Reading | None = None) -> Copied:
        """Copy a dataset: a .prd or .npz file, a folder of images, a Dataset, or arrays.

        classes, reading, arrays: see as_dataset; arrays need a `name`. A dataset of that name is
        replaced. An interrupted copy goes on where it ended.
        """
        if name is not None:
            path = given_path(name)
        elif isinstance(source, (str, Path)):
            path = dataset_path(source)
        else:
            raise BoardError("push", "arrays need a name for the file on the board")
        data = as_dataset(source, labels, classes, reading).to_bytes()
        self._files.check_kind(path, data[:4])
        copied = copy_all(self._files, {path: data}, self.show_progress)[0]
        self._files.forget_addition(path)
        return copied

    def append(self, name: str, source: Source | list[Source], labels: np.ndarray | None = None,
               classes: int | Sequence[str] | None = None,
               reading: Reading | None = None) -> int:
        """Add samples to a dataset file on the board, or begin one; returns how many it holds.

        Samples as for `push`; those of a list of sources are added together or not at all. Labels
        of named classes get the numbers that the file has for them; those of arrays are its
        numbers. Pictures in folders get the file's size. The board writes the whole file anew, so
        collect some dozens before adding them; until it is complete the file stays as it was.
        Repeating what failed at any moment adds nothing twice.
        """
        path = given_path(name)
        found = self._head_of(path)
        added = _together([_for_file(path, found, one, labels, classes, reading) for one in (
            source if isinstance(source, list) else [source])])
        n = found.samples if found else 0
        data = added.to_bytes()
        n_head = PREFIX.unpack_from(data)[2]
        head, records = data[:n_head], data[n_head:]
        return n + len(added) if self._files.append(records, path, head) else n

    def _head_of(self, path: str) -> DatasetHead | None:
        """What a dataset file on the board says before its samples, None without a file."""
        head = self._files.dataset_head(path)
        if head is None and self._files.size(path) >= 0:
            raise BoardError(path, "on the board is no dataset file; choose another name")
        if head is not None and head.version != VERSION:
            raise BoardError(path, f"on the board is of version {head.version}: bring it with "
                             "'priot pull', convert it, and replace it with 'priot push'")
        return head

    def listing(self) -> list[Entry]:
        """The files in the board's root folder."""
        return [entry for entry in self._files.listing("/") if not entry.is_folder]

    def free_flash(self) -> int:
        """Free bytes of the board's flash."""
        return self._files.free_bytes()

    def flash_bytes(self) -> int:
        """Bytes of the board's flash that are for files."""
        return self._files.all_bytes()

    def read(self, name: str) -> bytes:
        """The bytes of a file on the board."""
        return self._files.get(_absolute(name))

    def pull(self, name: str, to: Path | str = ".") -> Path:
        """Bring a file to a folder or file of the host, checked; returns where it is.

        An adapter file that is damaged is refused (FileError) and not written, and a file that
        would replace one of another kind.
        """
        target = Path(to)
        if target.is_dir():
            target = host_path(target, name.rpartition("/")[2])
        data = self.read(name)
        if data[:4] == b"PRIA":
            Adapter.from_bytes(data, name)
        if target.is_file() and target.stat().st_size:
            found = read_magic(target)
            if found != data[:4] and (found in KINDS or data[:4] in KINDS):
                raise BoardError(target, f"is {kind_of(found)} here, {kind_of(data[:4])} on the "
                                 "board; not overwritten")
        write_file(target, data)
        return target

    def remove(self, name: str) -> None:
        """Remove a file from the board, if it is there."""
        self._files.remove(_absolute(name))

    # ---- running -----------------------------------------------------------------------------

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job, see run_job; with this a Board is a Target of train() and evaluate()."""
        self._helped = None
        return run_job(self._connection, job, self.stream, self.show_progress,
                       self.info.processor)

    def train(self, model: Path | str, train: Path | str, **options: Any) -> dict[str, Any]:
        """Train on the board with files of the host; returns the report.

        options: those of TrainJob (test, also, method, epochs, save, mask, resume, validate,
        validate_on, keep_best, patience, balance, replay, share, backend) and those of the
        device's Trainer (seed, step, keep, fraction, layout, ...).
        """
        names = {field.name for field in fields(TrainJob)}
        job = {name: options.pop(name) for name in names & set(options)}
        for name in ("test", "save", "mask", "resume", "validate_on", "replay"):
            if job.get(name) is not None:
                job[name] = Path(job[name])
        job["also"] = [Path(path) for path in job.get("also", ())]
        return run_training(TrainJob(Path(model), Path(train), **job, options=options), self,
                            self.show_progress)

    def evaluate(self, model: Path | str, test: Path | str, adapter: Path | str | None = None,
                 backend: str | None = None, also: Sequence[Path | str] = ()) -> dict[str, Any]:
        """Measure a model on the board, adapted or not; returns the report."""
        return run_evaluation(Path(model), Path(test), self, Path(adapter) if adapter else None,
                              backend, [Path(path) for path in also])

    def execute(self, code: str, timeout_s: float | None = ANSWER_S) -> str:
        """Run MicroPython code; returns what it printed. BoardRefused if it raised something.

        Code that prints nothing for `timeout_s` seconds is stopped by Ctrl-C, with BoardBusy (or
        BoardGone, if that does not stop it); None waits as long as it takes. Seconds of the
        board's own time where it is emulated.
        """
        connection = self._connection
        before = connection.doing, connection.advice
        lines = code.strip().splitlines() or [""]
        connection.doing = f"running {shorten(lines[0], 40, placeholder='...')!r}"
        connection.advice = "timeout_s=SECONDS waits longer"
        try:
            return connection.execute(code, timeout_s)
        finally:
            connection.doing, connection.advice = before

    def memory(self, model: str | None = None) -> Memory:
        """What package and model take of the heap, measured after a soft reset."""
        self._soft_reset()
        found = measure(self._connection, board_path(model) if model else None,
                        self.info.processor)
        self._soft_reset()
        return found

    # ---- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the board at its prompt and let others have the port."""
        self._connection.close()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _for_file(path: str, head: DatasetHead | None, source: Source, labels: np.ndarray | None,
              classes: int | Sequence[str] | None, reading: Reading | None) -> Dataset:
    """Samples for a dataset file on the board: of its size, with its numbers of the classes.

    head: what the file says, None where it begins with these samples. Raises PriotError, OSError.
    """
    if head is None:
        return as_dataset(source, labels, classes, reading)
    if classes is None:
        reading = reading_for(source, reading or Reading(), head.classes, head.names,
                              head.shape)
    added = as_dataset(source, labels, classes, reading)
    if head.names and not added.names and not isinstance(source, np.ndarray):
        raise BoardError(path, f"holds the classes {listed(head.names)}, the samples to add say "
                         "no names: give those of all their classes with --classes")
    if not head.names and added.names == tuple(map(str, range(added.classes))):
        added = replace(added, names=())  # called by their numbers
    if added.names and not head.names:
        raise BoardError(path, f"holds classes without names, the samples to add are of "
                         f"{listed(added.names)}: 'priot pull' it, name its classes with "
                         "'priot dataset FILE --classes NAME,...' and 'priot push' it")
    if added.names:
        numbers = renumbered(path, added.labels, added.names, head.names)
        added = replace(added, labels=numbers, names=head.names, classes=head.classes)
    if (added.signed, added.n_targets) != (head.signed, head.n_targets):
        raise BoardError(path, f"holds {_kind(head)}, the samples to add are {_kind(added)}")
    if added.scaling != head.scaling and any(added.scaling) and any(head.scaling):
        raise BoardError(path, "holds samples of another scale: --for its model, or for the "
                         "dataset that it was made for, scales these alike")
    if added.sound != head.sound and added.sound and head.sound:
        raise BoardError(path, mismatch("sound of the samples to add", added.sound, head.sound)
                         + "; --for its model makes them alike")
    if head.shape != added.shape or int(added.labels.max()) >= head.classes:
        raise BoardError(path, f"images of {added.shape} with labels to {added.labels.max()}, "
                         f"the file holds {head.shape} of {head.classes} classes")
    return added


def _kind(samples: DatasetHead | Dataset) -> str:
    text = f"values of {'-127' if samples.signed else '0'}..127"
    return text + (f" with targets of {samples.n_targets}" if samples.n_targets else "")


def _absolute(name: str) -> str:
    return "/" + name.lstrip("/")


def _together(parts: list[Dataset]) -> Dataset:
    """Several datasets as one. Raises BoardError where they differ."""
    first = parts[0]
    for other in parts[1:]:
        if (other.signed, other.n_targets, other.scaling, other.sound) != (
                first.signed, first.n_targets, first.scaling, first.sound):
            raise BoardError("append", "the sources differ in scale, sign, sound or targets: "
                             "--for FILE scales them alike")
        if other.shape != first.shape or other.names != first.names:
            raise BoardError("append", f"images of {first.shape} and {other.shape}, classes "
                             f"{', '.join(first.names) or 'without names'} and "
                             f"{', '.join(other.names) or 'without names'}: add them one by one")
    if len(parts) == 1:
        return first
    return replace(first, images=np.concatenate([part.images for part in parts]),
                   labels=np.concatenate([part.labels for part in parts]),
                   targets=np.concatenate([part.targets for part in parts]),
                   classes=max(part.classes for part in parts))

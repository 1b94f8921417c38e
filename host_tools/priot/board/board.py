"""A board for a script: push data, train there, take the results."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from priot.board import ports
from priot.board.connection import Connection
from priot.board.errors import BoardError
from priot.board.files import Entry, Files, board_path
from priot.board.info import BoardInfo, ask
from priot.board.install import Copied, copy_all, install
from priot.board.memory import Memory, measure
from priot.board.session import run_job
from priot.data.as_dataset import Source, as_dataset
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import PREFIX, VERSION, write_file
from priot.jobs.evaluate import evaluate as run_evaluation
from priot.jobs.protocol import Event
from priot.jobs.train import TrainJob
from priot.jobs.train import train as run_training


class Board:
    """A board at a serial port, exclusively; connecting interrupts the program that runs there.

        with Board("/dev/ttyACM0") as board:
            board.append("kitchen.prd", images, labels, classes=10)
            train = board.pull("kitchen.prd")
            report = board.train("digits.priot", train, save="kitchen.scores")

    `port` None takes the only board that is plugged in. `prelude`, `interruptible`: see
    Connection. `stream` keeps the datasets of jobs on the host and sends samples as they are
    wanted, as is done anyway with those that do not fit into the flash. Every method raises
    BoardError, a PriotError whose one line says what to do; a repeat completes the work.
    """

    def __init__(self, port: str | None = None, prelude: str = "",
                 show_progress: bool = False, stream: bool = False,
                 interruptible: bool = True) -> None:
        self.port = self.name = port or ports.only_board()
        self.show_progress = show_progress
        self.stream = stream
        self._helped: Files | None = None
        self._connection = Connection(self.port, prelude, interruptible)
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
        """Bring the package, the native module, a model and datasets; what is there is skipped."""
        contents: dict[str, bytes] = {}
        loaded = Model.read(model) if model is not None else None
        for path in datasets:
            dataset = Dataset.read(path)
            if loaded is not None and dataset.names:
                dataset.labels_of(loaded, path)  # refuses classes of which the model knows nothing
        for source in (*([model] if model is not None else []), *datasets):
            if contents.setdefault(board_path(source), Path(source).read_bytes()) != (
                    Path(source).read_bytes()):
                raise BoardError(source, "another file of that name is deployed; rename one")
        copied = install(self._files, self.show_progress)
        return copied + copy_all(self._files, contents, self.show_progress)

    def push(self, source: Source, labels: np.ndarray | None = None, name: str | None = None,
             classes: int | None = None) -> Copied:
        """Copy a dataset: a .prd or .npz file, a folder of images, a Dataset, or arrays.

        Arrays: see as_dataset; they need a `name`. An interrupted copy goes on where it ended.
        """
        if name is None and not isinstance(source, (str, Path)):
            raise BoardError("push", "arrays need a name for the file on the board")
        path = board_path(name or Path(str(source)).with_suffix(".prd"))
        data = as_dataset(source, labels, classes).to_bytes()
        return copy_all(self._files, {path: data}, self.show_progress)[0]

    def append(self, name: str, source: Source, labels: np.ndarray | None = None,
               classes: int | None = None) -> int:
        """Add samples to a dataset file on the board, or begin one; returns how many it holds.

        Samples as for `push`. The board writes the whole file anew, so collect some dozens before
        adding them; until it is complete the file stays as it was. Repeating what failed at any
        moment adds nothing twice.
        """
        path = board_path(name)
        added = as_dataset(source, labels, classes)
        data = added.to_bytes()
        n_head = PREFIX.unpack_from(data)[2]
        head, records = data[:n_head], data[n_head:]
        n = self._samples_of(path, added)
        return n + len(added) if self._files.append(records, path, head) else n

    def _samples_of(self, path: str, added: Dataset) -> int:
        """Samples in a dataset file on the board, 0 without one. BoardError if they differ."""
        head = self._files.dataset_head(path)
        if head is None:
            if self._files.size(path) >= 0:
                raise BoardError(path, "on the board is no dataset file; choose another name")
            return 0
        if head.version != VERSION:
            raise BoardError(path, f"on the board is of version {head.version}: bring it with "
                             "'priot pull', convert it, and replace it with 'priot push'")
        if head.shape != added.shape or int(added.labels.max()) >= head.classes:
            raise BoardError(path, f"images of {added.shape} with labels to {added.labels.max()}, "
                             f"the file holds {head.shape} of {head.classes} classes")
        if added.names and added.names != head.names:
            raise BoardError(path, f"classes {', '.join(added.names)}, the file's are "
                             f"{', '.join(head.names) or 'without names'}")
        return head.samples

    def listing(self) -> list[Entry]:
        """The files in the board's root folder."""
        return [entry for entry in self._files.listing("/") if not entry.is_folder]

    def free_flash(self) -> int:
        """Free bytes of the board's flash."""
        return self._files.free_bytes()

    def read(self, name: str) -> bytes:
        """The bytes of a file on the board."""
        return self._files.get(board_path(name))

    def pull(self, name: str, to: Path | str = ".") -> Path:
        """Bring a file to a folder or file of the host, checked; returns where it is.

        An adapter file that is damaged is refused (FileError) and not written.
        """
        target = Path(to) / Path(name).name if Path(to).is_dir() else Path(to)
        data = self.read(name)
        if data[:4] == b"PRIA":
            Adapter.from_bytes(data, name)
        write_file(target, data)
        return target

    def remove(self, name: str) -> None:
        """Remove a file from the board, if it is there."""
        self._files.remove(board_path(name))

    # ---- running -----------------------------------------------------------------------------

    def run(self, job: dict[str, Any]) -> Iterator[Event]:
        """Run a job, see run_job; with this a Board is a Target of train() and evaluate()."""
        self._helped = None
        return run_job(self._connection, job, self.stream, self.show_progress)

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

    def execute(self, code: str) -> str:
        """Run MicroPython code; returns what it printed. BoardRefused if it raised something."""
        return self._connection.execute(code)

    def memory(self, model: str | None = None) -> Memory:
        """What package and model take of the heap, measured after a soft reset."""
        self._soft_reset()
        found = measure(self._connection, board_path(model) if model else None)
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

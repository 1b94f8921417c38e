"""The steps from class folders to an adapter in use: datasets, plan, deploy, train, report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from shlex import quote
from typing import Any

from priot.adapting.choice import Chosen, choose
from priot.adapting.datasets import Pictures, make_datasets
from priot.board import Board
from priot.board.deploy import bring
from priot.board.session import KEPT, free_name
from priot.data.prepare import summary as dataset_summary
from priot.data.reading import Reading
from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model, read_magic
from priot.formats.container import write_file
from priot.jobs.details import Details
from priot.jobs.protocol import PICO_HEAP_BYTES, Target
from priot.jobs.train import TrainJob, check_output, summary, train
from priot.methods import METHODS
from priot.network import fields as f
from priot.planning.board import Limits, default_backend, limits_of
from priot.planning.flash import BLOCK_BYTES
from priot.planning.names import Names, board_path
from priot.reports.accuracy import forgotten
from priot.reports.describe import classes_lines, shape_text
from priot.reports.json_file import check_folder, check_report, write_json
from priot.reports.run_page import run_page

Say = Callable[[str], object]


@dataclass
class Adaptation:
    """What is wanted: pictures, a model file, and where the results go.

    output: a folder, made where it is not there; name: begins the names of all files, here and on
    the board. method: None takes what the plan recommends. heap: bytes to plan for where there is
    no board. resume: go on from the scores in `output`, or on the board. Others: see TrainJob.
    """

    pictures: Pictures
    model: Path
    output: Path
    name: str
    add: list[str] = field(default_factory=list)
    method: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    epochs: int = 30
    backend: str | None = None
    heap: int = PICO_HEAP_BYTES
    stream: bool = False
    balance: bool = False
    resume: bool = False

    def file(self, ending: str) -> Path:
        """A file of the results: NAME and an ending."""
        return self.output / (self.name + ending)

    @property
    def datasets(self) -> list[Path]:
        """What is learned, and what is tested."""
        return [self.file("-train.prd"), self.file("-test.prd")]

    @property
    def report(self) -> Path:
        """The report; its page lies beside it."""
        return self.output / "run.json"

    def check(self) -> None:
        """Refuse names before any work is done. Raises PriotError, OSError."""
        names = Names()
        for path in (self.model, *self.datasets, self.file(".scores"), self.file(".adapter")):
            names.give(board_path(path), path)
        if not self.output.exists():
            check_folder(self.output)
            return
        if not self.output.is_dir():
            raise PriotError(self.output, "is a file: -o FOLDER names another place")
        for path in (self.report, self.report.with_suffix(".html")):
            check_report(path)
        for path in self.datasets:
            if path.exists() and read_magic(path) != b"PRID":
                raise PriotError(path, "exists and is no dataset; not overwritten: give --name")
        for ending in (".scores", ".adapter"):
            check_output(self.file(ending), ())


def adapt(wanted: Adaptation, target: AbstractContextManager[Target], reading: Reading,
          command: Sequence[str], say: Say = print) -> dict[str, Any]:
    """Do every step that is not done yet; returns the report of the training.

    target: entered when the datasets are made. reading: how pictures are read, of the model's
    size, channels and classes. command: the words to repeat it. say: takes a line of what was
    done. A failure is a PriotError that begins with the name of its step.
    """
    with step("output"):
        wanted.check()
    with step("dataset"):
        _write_datasets(wanted, reading, say)
    with ExitStack() as stack:
        with step("connect"):
            where = stack.enter_context(target)
        board = where if isinstance(where, Board) else None
        with step("plan"):
            chosen = _choose(wanted, board)
            say(_plan_line(chosen, board))
        if board is not None:
            with step("deploy"):
                copied = bring(board, wanted.model, [] if chosen.stays else wanted.datasets)
                for line in copied:
                    say(f"deploy: {line}")
        with step("train"):
            report = _train(wanted, chosen, where, board, command, say)
    with step("report"):
        page = wanted.report.with_suffix(".html")
        write_file(page, run_page(wanted.report).encode())
        say(f"report: {page}, to look at in a browser; {wanted.report}")
    for line in usage(wanted, report, board.port if board is not None and
                      board.name != "emulator" else None):
        say(line)
    return report


@contextmanager
def step(name: str) -> Iterator[None]:
    """Failures inside begin with the name of the step."""
    try:
        yield
    except PriotError as error:
        text, is_kept, _ = f"{error.where}: {error.what}".partition(KEPT)
        if is_kept:
            text += f"{KEPT}: repeat the command with --resume"
        raise PriotError(name, text) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise PriotError(name, where + (error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise PriotError(name, str(error)) from error


def _write_datasets(wanted: Adaptation, reading: Reading, say: Say) -> None:
    model = Model.read(wanted.model)
    if model.loss != f.CROSS_ENTROPY:
        raise PriotError(wanted.model, "has no classes that folders could show; 'priot dataset' "
                         "and 'priot train' adapt it")
    made = make_datasets(wanted.pictures, model, wanted.add, reading)
    wanted.output.mkdir(exist_ok=True)
    for path, dataset in zip(wanted.datasets, made, strict=True):
        data = dataset.to_bytes()
        is_there = path.exists() and path.read_bytes() == data
        if not is_there:
            write_file(path, data)
        say("dataset: " + ("was there, " if is_there else "") + dataset_summary(path, dataset, 0))


def _choose(wanted: Adaptation, board: Board | None) -> Chosen:
    if board is None:
        limits = Limits(wanted.heap, backend=wanted.backend or default_backend()[0])
    else:
        limits = limits_of(board.info.processor, board.info.heap_bytes,
                           board.flash_bytes() // BLOCK_BYTES, wanted.backend)
    return choose(wanted.model, wanted.datasets, limits, wanted.method, wanted.options,
                  wanted.stream)


def _plan_line(chosen: Chosen, board: Board | None) -> str:
    text = f"plan: {chosen.training.command()} ({chosen.reason})"
    if chosen.plan is not None:
        where = board.info.machine if board is not None else "a Pico"
        text += f"; {chosen.plan.heap.free:,} bytes of heap stay free on {where}"
    return text + ("; the datasets stay here, samples are sent" if chosen.stays else "")


def _train(wanted: Adaptation, chosen: Chosen, target: Target, board: Board | None,
           command: Sequence[str], say: Say) -> dict[str, Any]:
    scores = wanted.file(".scores")
    if wanted.resume:
        _bring_scores(scores, board, say)
    elif scores.exists():
        kept = free_name(scores, scores.read_bytes())
        write_file(kept, scores.read_bytes())
        say(f"train: begins anew, what was learned before is kept in {kept} (--resume goes on "
            "from it)")
    training = chosen.training
    prunes = METHODS[training.method].rule == f.PRUNE
    learn, test = wanted.datasets
    job = TrainJob(wanted.model, learn, test, training.method, wanted.epochs,
                   dict(training.options), wanted.backend, scores if wanted.resume else None,
                   scores, wanted.file(".adapter") if prunes else None, add=wanted.add,
                   balance=wanted.balance)
    details = Details(job, command)
    report = train(job, target, show_progress=True)
    say(summary(report))
    for line in forgotten(report):
        say(line)
    details.add(report)
    write_json(wanted.report, report)
    return report


def _bring_scores(scores: Path, board: Board | None, say: Say) -> None:
    """Have the newest state of the training here. Raises PriotError where there is none."""
    if board is not None and any(entry.name == scores.name for entry in board.listing()):
        there = Adapter.from_bytes(board.read(scores.name), scores.name)
        here = Adapter.read(scores) if scores.exists() else None
        if here is None or (here.backbone_crc, here.method, here.seed) == (
                there.backbone_crc, there.method, there.seed) and there.epochs > here.epochs:
            board.pull(scores.name, scores)
            say(f"train: {scores} is the board's, of {there.epochs} epochs")
    if not scores.exists():
        raise PriotError("--resume", f"nothing is learned yet, there is no {scores}: leave it out")


def usage(wanted: Adaptation, report: dict[str, Any], port: str | None) -> list[str]:
    """The lines to type to use what was learned; port: of the board that has it."""
    learned = wanted.file(".adapter" if report["files"].get("mask") else ".scores")
    model = Model.read(wanted.model)
    adapter = Adapter.read(learned)
    test = Dataset.read(wanted.datasets[1])
    if port is None:
        lines = ["to use it on a board:",
                 f"    priot deploy --port PORT {quote(str(wanted.model))}",
                 f"    mpremote connect PORT cp {quote(str(learned))} :",
                 "    mpremote connect PORT repl"]
    else:
        lines = [f"to use it: mpremote connect {quote(port)} repl"]
    names = adapter.names or model.names
    answer = "net.names[net.predict(image)]" if names else "net.predict(image)"
    numbers = tuple(map(str, range(test.classes)))
    # where the model knows numbers alone, the dataset knows what they mean
    legend = classes_lines(test.names) if not names and test.names != numbers else []
    return [*lines, "    >>> import priot",
            f"    >>> net = priot.load({wanted.model.name!r})",
            f"    >>> net.apply({learned.name!r})",
            f"    >>> {answer:30}  # image: {shape_text(test.shape)} = {prod(test.shape)} bytes "
            f"of {'-127..127' if test.signed else '0..127'}", *legend]

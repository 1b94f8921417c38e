"""One job on a board: its files go there, its events come back, samples are sent when wanted."""

import struct
import zlib
from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from priot.board.connection import REPEAT, Connection
from priot.board.errors import BoardError, BoardGone
from priot.board.files import Files
from priot.board.install import copy_all, install
from priot.board.interrupts import counted_ctrl_c
from priot.errors import FileError, PriotError
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import pad4, write_file
from priot.jobs.protocol import DATASETS, Event, checked, parse_line
from priot.methods import METHODS
from priot.planning.flash import BLOCK_BYTES, file_blocks
from priot.planning.names import Names, board_path
from priot.processors import PICO

KEPT = "; what was learned is kept there"  # in an error: --resume goes on from it
_INPUTS = ("model", "scores")
_OUTPUTS = ("save", "mask")
_RESERVE = 65536  # bytes of flash that datasets leave for what the job writes
_FILE_BLOCKS = 8192  # of flash that a file takes beside its bytes, at most


@dataclass
class _Plan:
    """A job in the board's words: its paths are the board's."""

    job: dict[str, Any]
    copies: dict[str, bytes] = field(default_factory=dict)
    streamed: dict[str, Dataset] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    epochs: int = 0  # that the board has reported, and saved if the job says so


def run_job(connection: Connection, job: dict[str, Any], stream: bool = False,
            show_progress: bool = False, processor: str = PICO.name) -> Iterator[Event]:
    """Run a job of device/priot/remote.py whose paths are the host's; yields its events.

    The package and the files that are missing are copied first; a dataset that does not fit into
    the flash, or every one with `stream`, stays here and its samples are sent as they are wanted.
    What the job saved is written to the host's paths at the end. One Ctrl-C stops the training on
    the board, which keeps and reports what it learned; another gives up. Raises PriotError.
    """
    files = Files(connection)
    install(files, processor, show_progress)
    plan = _make_plan(job, files, stream)
    for note in _keep_earlier(files, plan, job):
        yield {"event": "note", "text": note}
    copy_all(files, plan.copies, show_progress)
    files.check_space(plan.job.get("save") or "/", _bytes_to_save(plan.job, plan.copies))
    connection.soft_reset()
    connection.doing = "running the job"
    try:
        yield from _events(connection, plan)
    except PriotError as error:
        raise _with_what_is_kept(error, plan) from None
    _fetch(Files(connection), plan)


def _make_plan(job: dict[str, Any], files: Files, stream: bool) -> _Plan:
    plan = _Plan(dict(job, also=list(job.get("also") or ())))
    names = Names()
    # where a job names datasets: in itself, and in a list
    datasets: list[tuple[Any, Any]] = [(plan.job, key) for key in DATASETS if job.get(key)]
    datasets += [(plan.job["also"], i) for i in range(len(plan.job["also"]))]
    files_of_job = [(plan.job, key) for key in (*_INPUTS, *_OUTPUTS) if job.get(key)]
    sources: dict[str, Path] = {}
    for holder, key in files_of_job + datasets:
        source = Path(holder[key])
        path = holder[key] = names.give(board_path(source), source)
        sources[path] = source
    for key in _INPUTS:
        if job.get(key):
            plan.copies[plan.job[key]] = Path(job[key]).read_bytes()
    if job.get("scores"):
        _check_newest(files, plan.job["scores"], Path(job["scores"]))
    for holder, key in datasets:
        holder[key] = _place_dataset(plan, holder[key], sources[holder[key]], files, stream)
    plan.outputs = {plan.job[key]: Path(job[key]) for key in _OUTPUTS if job.get(key)}
    return plan


def _place_dataset(plan: _Plan, path: str, source: Path, files: Files,
                   stream: bool) -> str | dict[str, Any]:
    """Decide whether a dataset is copied or streamed; returns how the job names it."""
    data = source.read_bytes()
    free = files.free_bytes() - _RESERVE - sum(
        len(other) + _FILE_BLOCKS for other in plan.copies.values())
    dataset = Dataset.from_bytes(data, source)
    if not stream and (len(data) + _FILE_BLOCKS <= free or files.has(data, path)):
        files.check_no_loss(path, source, len(dataset))
        plan.copies[path] = data
        return path
    plan.streamed[path] = dataset
    return {"name": path, "samples": len(dataset), "shape": list(dataset.shape),
            "signed": int(dataset.signed), "targets": dataset.n_targets,
            "classes": dataset.classes, "counts": dataset.counts, "names": list(dataset.names)}


def _bytes_to_save(job: dict[str, Any], contents: dict[str, bytes]) -> int:
    """Flash that the job's files of results take at most, beside those that they replace."""
    if job["action"] != "train" or not (job.get("save") or job.get("mask")):
        return 0
    model = Model.from_bytes(contents[job["model"]], job["model"])
    last = job["options"].get("last") or METHODS[job["method"]].last or 0
    edges = [max(stage.rows.size, 4 * stage.n_out) for stage in model.weight_stages[-last:]]
    bits = sum(pad4(-(-n // 8)) for n in edges)
    # every edge has a score, and a bit that says so, or a bias 4 bytes: sparse methods write less
    sizes = {"save": sum(map(pad4, edges)) + bits, "mask": bits}
    return BLOCK_BYTES * sum(file_blocks(n) + 1 for name, n in sizes.items() if job.get(name))


def _learned_there(files: Files, path: str, here: bytes) -> Adapter | None:
    """What was learned into a file on the board, None unless it differs from what is here."""
    if files.size(path) < 0 or files.has(here, path):
        return None
    try:
        return Adapter.from_bytes(files.get(path), path)
    except FileError:
        return None


def _check_newest(files: Files, path: str, source: Path) -> None:
    """Refuse to replace what a board has learned by an earlier state of the same training."""
    here = source.read_bytes()
    there, ours = _learned_there(files, path, here), Adapter.from_bytes(here, source)
    if there and _run(there) == _run(ours) and there.epochs > ours.epochs:
        raise BoardError(source, f"has learned {ours.epochs} epochs, {path} on the board "
                         f"{there.epochs}: bring it with 'priot pull', or give this one another "
                         "name")


def _run(adapter: Adapter) -> tuple[int, str, str, int]:
    """What the files of one training share."""
    return adapter.backbone_crc, adapter.method, adapter.content, adapter.seed


def _keep_earlier(files: Files, plan: _Plan, job: dict[str, Any]) -> Iterator[str]:
    """Bring here what other runs left on the board under this one's names; a line on each.

    A run whose board was lost has saved there what never came here.
    """
    resumed = plan.job.get("scores")
    for key in ("scores", "save"):
        path = plan.job.get(key)
        if not path or (key == "save" and path == resumed):
            continue
        target = Path(job[key])
        here = target.read_bytes() if target.exists() else b""
        there = _learned_there(files, path, here)
        if there is None or (key == "scores" and _run(there) == _run(Adapter.from_bytes(here))):
            continue
        data = there.to_bytes()
        kept = free_name(target, data)
        write_file(kept, data)
        begins = "goes on from the resumed file" if resumed else "begins anew"
        yield (f"{path} on the board has {there.epochs} epochs of an earlier run; this one "
               f"{begins}, the earlier is kept in {kept} (--resume it to go on from there)")


def free_name(target: Path, data: bytes) -> Path:
    """A name beside `target` that is free, or is of a file with these bytes."""
    n = 1
    while True:
        path = target.with_name(f"{target.stem}.earlier{n if n > 1 else ''}{target.suffix}")
        if not path.exists() or path.read_bytes() == data:
            return path
        n += 1


def _events(connection: Connection, plan: _Plan) -> Iterator[Event]:
    interrupts = 0
    with counted_ctrl_c(connection.interruptible) as presses:
        for line in connection.lines(f"import priot.remote as r\nr.run({plan.job!r})"):
            if len(presses) > interrupts:
                interrupts = len(presses)
                connection.interrupt()
            event = parse_line(line)
            if event is None:
                continue
            plan.epochs += event["event"] == "epoch"
            if event["event"] == "sample":
                connection.send(_answer(plan.streamed[event["name"]], event))
            else:
                yield checked(event, connection.port)


def _with_what_is_kept(error: PriotError, plan: _Plan) -> PriotError:
    """The error, and how to go on from the file that the board has saved."""
    if not (plan.epochs and plan.job.get("save")):
        return error
    name = plan.job["save"].lstrip("/")
    what = error.what.removesuffix(REPEAT)
    text = (f"{what}{KEPT}: 'priot pull {name} --port {error.where}', "
            f"then add --resume {name} to the command")
    return (BoardGone if isinstance(error, BoardGone) else PriotError)(error.where, text)


def _answer(dataset: Dataset, request: Event) -> bytes:
    """The line that device/priot/stream.py waits for: number, record, CRC32 of both."""
    index = request["index"]
    target = dataset.targets if dataset.n_targets else dataset.labels
    payload = struct.pack("<I", request["number"]) + (
        dataset.images[index].tobytes() + target[index].tobytes())
    return b2a_base64(payload + struct.pack("<I", zlib.crc32(payload)))


def _fetch(files: Files, plan: _Plan) -> None:
    for path, target in plan.outputs.items():
        write_file(target, files.get(path))

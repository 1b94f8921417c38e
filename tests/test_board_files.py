"""Names on a board, what replaces what, what is said of it: on boards in a file (power/)."""

import re
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
from power.flash import make_board, run
from priot.board import Board, BoardError, BoardGone, BoardRefused, ports
from priot.board.files import Files
from priot.board.install import package_files
from priot.board.lock import PortLock
from priot.emulator.flash_image import read_files
from priot.errors import PriotError
from priot.formats import Adapter, Dataset
from priot.jobs.train import TrainJob, train
from priot.planning.names import Names, board_path, dataset_path, given_path, host_path
from priot.targets import choose
from priot.targets.unix import UnixTarget
from serial import SerialException
from support import random_dataset, random_model

SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    model = random_model(SPEC, (1, 12, 12), seed=4)
    model.write(tmp_path / "model.priot")
    for n, name in enumerate(("train", "A/same", "B/same", "small")):
        path = tmp_path / f"{name}.prd"
        path.parent.mkdir(exist_ok=True)
        random_dataset(model, 12 - 2 * n, seed=n).write(path)
    return {"model": tmp_path / "model.priot", "train": tmp_path / "train.prd",
            "a": tmp_path / "A" / "same.prd", "b": tmp_path / "B" / "same.prd",
            "small": tmp_path / "small.prd"}


@pytest.fixture
def flash(tmp_path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def port(flash) -> str:
    """A board with nothing on it."""
    return make_board(flash, {})


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source, name", [
    ("data/kitchen.1", "/kitchen.1.prd"), ("kitchen.2", "/kitchen.2.prd"),
    ("kitchen.prd", "/kitchen.prd"), ("kitchen.npz", "/kitchen.prd"), ("k.PRD", "/k.prd"),
    ("a.b.npz", "/a.b.prd"), ("images/", "/images.prd"), ("größe ☂.npz", "/größe ☂.prd"),
    (PureWindowsPath("C:\\data\\x.prd"), "/x.prd"), (PureWindowsPath("C:x.npz"), "/x.prd"),
])
def test_name_of_a_dataset(source, name):
    assert dataset_path(source) == name


@pytest.mark.parametrize("name", [
    "data/test.prd", "data\\test.prd", "", "/", ".", "..", "a\nb", "a.prd.part", "a.more", "a.tmp",
    "lib", "priot", "main.py", "x.mpy", "n" * 250])
def test_names_that_are_refused(name):
    with pytest.raises(PriotError) as refused:
        given_path(name)
    assert "\n" not in str(refused.value)


def test_names_that_are_taken():
    assert given_path("/test.prd") == given_path("test.prd") == "/test.prd"
    assert board_path(PureWindowsPath("C:\\a\\net.priot")) == "/net.priot"


@pytest.mark.parametrize("one, other", [
    ("A/same.prd", "B/same.prd"), ("A/same.prd", "same.prd"), ("A.prd", "a.prd"),
    ("Größe.prd", "größe.prd"), ("e\u0301.prd", "\u00e9.prd"),  # composed or not
])
def test_two_files_of_one_name(one, other, tmp_path):
    names = Names()
    names.give(board_path(one), one)
    assert names.give(board_path(one), one) == board_path(one)
    names.give("/another.prd", "another.prd")
    with pytest.raises(PriotError, match="has the same name on the board"):
        names.give(board_path(other), other)


def test_names_on_the_host(tmp_path):
    assert host_path(tmp_path, "a.scores", windows=True) == tmp_path / "a.scores"
    for name in ("a:b", "a\\b", "what?", "nul", "CON.scores", "a."):
        assert host_path(tmp_path, name, windows=False) == tmp_path / name
        with pytest.raises(PriotError, match="no name for a file on Windows"):
            host_path(tmp_path, name, windows=True)


def test_endings_of_their_own_are_kept(files, flash, port, tmp_path):
    """kitchen.1 and kitchen.2 are two datasets."""
    for n, source in ((1, "a"), (2, "b")):
        (tmp_path / f"kitchen.{n}").write_bytes(files[source].read_bytes())
    status, said, _ = run("push", tmp_path / "kitchen.1", tmp_path / "kitchen.2", "--port", port)
    assert status == 0 and said.count("copied") == 2
    assert read_files(flash) == {"kitchen.1.prd": files["a"].read_bytes(),
                                 "kitchen.2.prd": files["b"].read_bytes()}


@pytest.mark.parametrize("command", [
    ["push", "{a}", "{b}"], ["deploy", "{model}", "{a}", "{b}"],
    ["train", "{model}", "{a}", "--test", "{b}"], ["plan", "{model}", "--dataset", "{a}", "{b}"],
    ["push", "{a}", "--name", "data/test.prd"], ["push", "{a}", "--append", "data/test.prd"],
])
def test_one_would_replace_the_other(files, flash, port, command):
    """Refused in a line, and no data has been copied."""
    names = {name: str(path) for name, path in files.items()}
    where = [] if command[0] == "plan" else ["--port", port]
    status, _, said = run(*(word.format(**names) for word in command), *where)
    assert status == 1
    assert "has the same name on the board" in said or "root folder" in said
    assert not [name for name in read_files(flash) if not name.startswith("lib/")]


# ---- what replaces what ------------------------------------------------------------------------


def test_what_is_replaced_is_said(files, flash, port):
    assert "/same.prd: " in run("push", files["a"], "--port", port)[1]
    assert "bytes was there" in run("push", files["a"], "--port", port)[1]
    assert "bytes replaced another" in run("push", files["b"], "--port", port)[1]
    assert read_files(flash) == {"same.prd": files["b"].read_bytes()}


def test_a_model_is_not_replaced_by_a_dataset(files, flash):
    port = make_board(flash, {"net.priot": files["model"].read_bytes()})
    status, _, said = run("push", files["a"], "--name", "net.priot", "--port", port)
    assert status == 1 and "/net.priot: on the board is a model, not a dataset" in said
    assert read_files(flash) == {"net.priot": files["model"].read_bytes()}


def test_deploy_keeps_a_dataset_that_has_grown(files, flash):
    port = make_board(flash, {"small.prd": files["train"].read_bytes()})
    status, _, said = run("deploy", files["model"], files["small"], "--port", port)
    assert status == 1 and "holds 6 samples, /small.prd on the board 12" in said
    assert read_files(flash)["small.prd"] == files["train"].read_bytes()


def test_pull_keeps_other_kinds(files, flash, tmp_path):
    port = make_board(flash, {"model.priot": files["small"].read_bytes(),
                              "same.prd": files["a"].read_bytes()})
    before = files["model"].read_bytes()
    status, _, said = run("pull", "model.priot", "--port", port, "-o", tmp_path)
    assert status == 1 and "is a model here, a dataset on the board; not overwritten" in said
    assert files["model"].read_bytes() == before
    (tmp_path / "same.prd").write_bytes(files["b"].read_bytes())
    status, said, _ = run("pull", "same.prd", "--port", port, "-o", tmp_path)
    assert status == 0 and "same.prd: " in said and "replaced another" in said
    assert "replaced" not in run("pull", "same.prd", "--port", port, "-o", tmp_path)[1]


def test_pull_to_a_file_system_that_knows_no_case(files, flash, tmp_path, monkeypatch):
    """Two files of the board would be one here."""
    port = make_board(flash, {"A.prd": files["a"].read_bytes(), "a.prd": files["b"].read_bytes()})
    monkeypatch.setattr("priot.commands.pull.host_path",
                        lambda folder, name: folder / name.lower())
    status, _, said = run("pull", "A.prd", "a.prd", "--port", port, "-o", tmp_path)
    assert status == 1 and "a.prd here, which was just brought" in said


# ---- samples are added once --------------------------------------------------------------------


def test_several_sources_are_added_together(files, flash, port, tmp_path):
    """The second one fails: a repeat must not add the first again."""
    wrong = tmp_path / "wrong.prd"
    random_dataset(random_model("flatten, linear 10", (1, 8, 8), 1), 3, 1).write(wrong)
    command = ("push", files["a"], "{}", "--append", "all.prd", "--port", port)
    assert run(*(wrong if word == "{}" else word for word in command))[0] == 1
    assert read_files(flash) == {}
    status, said, _ = run(*(files["b"] if word == "{}" else word for word in command))
    assert status == 0 and "all.prd: 18 samples" in said
    parts = [Dataset.read(files[name]) for name in "ab"]
    whole = Dataset.from_bytes(read_files(flash)["all.prd"])
    assert (whole.images == np.concatenate([part.images for part in parts])).all()


def test_the_board_goes_away_when_samples_are_added(files, flash, port, monkeypatch):
    """What is done is not told as if it were to be repeated."""
    def gone(board):
        raise BoardGone("port", "the board went away")

    monkeypatch.setattr(Board, "free_flash", gone)
    status, said, _ = run("push", files["a"], "--append", "all.prd", "--port", port)
    assert status == 0 and "all.prd: 10 samples" in said


def test_the_same_samples_twice(files, flash, port, monkeypatch):
    """The power goes in the second addition before it is done: a repeat does it."""
    with Board(port) as board:
        board.append("all.prd", files["a"])
    with Board(port) as board, monkeypatch.context() as patch:
        execute = board._connection.execute

        def cut(code):
            if code.startswith("append("):
                raise BoardGone("port", "cut")
            return execute(code)

        patch.setattr(board._connection, "execute", cut)
        with pytest.raises(BoardGone):
            board.append("all.prd", files["a"])
    with Board(port) as board:
        assert board.append("all.prd", files["a"]) == 20
    assert set(read_files(flash)) == {"all.prd"}
    assert len(Dataset.from_bytes(read_files(flash)["all.prd"])) == 20


def test_an_addition_that_was_done_is_not_repeated(files, flash, port, monkeypatch):
    with Board(port) as board, monkeypatch.context() as patch:
        patch.setattr(Files, "remove", lambda *_: (_ for _ in ()).throw(BoardGone("port", "cut")))
        board.append("all.prd", files["a"])
    assert set(read_files(flash)) == {"all.prd", "all.prd.more"}
    with Board(port) as board:
        assert board.append("all.prd", files["a"]) == 10
        assert board.append("all.prd", files["a"]) == 20
    assert set(read_files(flash)) == {"all.prd"}


# ---- training on a board -----------------------------------------------------------------------


def test_a_board_without_native_modules(files, flash, port, tmp_path):
    """Another processor: viper kernels, and the bytes that every backend learns."""
    assert set(package_files("x64")) > {"/lib/priot/trainer.mpy"}
    assert not set(package_files("x64")) & {"/lib/priot_native.mpy", "/lib/priot_portable.mpy"}
    assert package_files("armv7emsp") == package_files()
    status, said, _ = run("train", files["model"], files["train"], "--epochs", 2, "--save",
                          tmp_path / "a.scores", "--port", port)
    assert status == 0 and "viper kernels" in said
    train(TrainJob(files["model"], files["train"], epochs=2, save=tmp_path / "b.scores"),
          UnixTarget())
    assert (tmp_path / "a.scores").read_bytes() == (tmp_path / "b.scores").read_bytes()
    status, said, _ = run("deploy", files["model"], "--port", port)
    assert status == 0 and re.search(r"^code +[\d,]+  package", said, re.MULTILINE)
    note = "note: no native modules for x64: viper kernels compute"
    assert note in said
    status, said, _ = run("plan", files["model"], "--port", port)
    assert status == 0 and note in said and "viper kernels\n" in said


def test_modules_of_another_processor_go(files, flash):
    """As a Pico 2's that ran Arm code and now runs RISC-V: they would be found and refused."""
    port = make_board(flash, {"lib/priot_native.mpy": b"of another", "lib/mine.mpy": b"mine"})
    assert run("deploy", files["model"], "--port", port)[0] == 0
    there = read_files(flash)
    assert "lib/priot_native.mpy" not in there
    assert there["lib/mine.mpy"] == b"mine"


def test_a_repeat_keeps_what_a_lost_run_has_learned(files, flash, port, tmp_path):
    """The scores of the run whose board went away are on the board alone."""
    saved = tmp_path / "a.scores"
    command = ("train", files["model"], files["train"], "--epochs", 3, "--save", saved, "--port")
    assert run(*command, port)[0] == 0
    learned = saved.read_bytes()
    assert "note" not in run(*command, port)[1]  # it is here: nothing to keep
    saved.unlink()
    status, said, _ = run(*command, port)
    kept = tmp_path / "a.earlier.scores"
    assert status == 0
    assert "/a.scores on the board has 3 epochs of an earlier run; this one begins anew" in said
    assert f"kept in {kept} (--resume it to go on from there)" in " ".join(said.split())
    assert kept.read_bytes() == learned == saved.read_bytes()


def test_an_older_file_is_not_resumed_over_a_newer_one(files, flash, port, tmp_path):
    saved, older = tmp_path / "a.scores", tmp_path / "older" / "a.scores"
    older.parent.mkdir()
    train(TrainJob(files["model"], files["train"], epochs=1, save=older), UnixTarget())
    command = ("train", files["model"], files["train"], "--port", port)
    assert run(*command, "--epochs", 3, "--save", saved)[0] == 0
    status, _, said = run(*command, "--epochs", 2, "--resume", older)
    assert status == 1 and "has learned 1 epochs, /a.scores on the board 3" in said
    assert read_files(flash)["a.scores"] == saved.read_bytes()
    train(TrainJob(files["model"], files["train"], epochs=1, save=older, options={"seed": 5}),
          UnixTarget())  # another run: the board's is not its future, and is kept
    status, said, _ = run(*command, "--epochs", 2, "--resume", older)
    assert status == 0 and "goes on from the resumed file, the earlier is kept in" in said
    assert (older.parent / "a.earlier.scores").read_bytes() == saved.read_bytes()
    assert run(*command, "--epochs", 4, "--resume", saved, "--save", saved)[0] == 0
    assert Adapter.read(saved).epochs == 4


def test_heap_is_not_for_a_board(files, port):
    status, _, said = run("train", files["model"], files["train"], "--heap", 200_000, "--port",
                          port)
    assert status == 1 and "--heap: is for the unix port" in said


# ---- what is said ------------------------------------------------------------------------------


def test_what_was_written_is_said(files, tmp_path):
    names = {option: tmp_path / f"out.{option}" for option in ("save", "mask", "json")}
    names["plot"] = tmp_path / "out.png"
    options = [word for option, path in names.items() for word in (f"--{option}", path)]
    status, said, _ = run("train", files["model"], files["train"], "--epochs", 1, *options)
    assert status == 0
    for path in names.values():
        assert f"wrote {path} ({path.stat().st_size:,} bytes)" in said
    assert "nothing is kept" not in said
    again = run("inspect", files["model"], "--json", names["json"])[1]
    assert f"wrote {names['json']}" in again and "out.save" not in again


def test_training_without_a_test_says_what_came_of_it(files):
    status, said, _ = run("train", files["model"], files["train"], "--epochs", 1)
    assert status == 0
    assert re.search(r": \d+\.\d % of the training images right in the last epoch", said)
    assert "nothing is kept of what was learned: --save FILE writes it" in said


@pytest.mark.parametrize("number", [1, 5, 9, 12, 13, 16, 17, 18, 19, 20, 21, 22, 24, 27, 28, 30,
                                    36, 39, 84, 110])
def test_errors_of_a_board_are_told_in_words(number):
    said = str(BoardRefused("port", f"Traceback\nOSError: [Errno {number}] EWHAT\n"))
    assert not re.search(rf"Errno|EWHAT|\b{number}\b", said) and "OSError" not in said


def test_free_flash_is_never_below_nothing(port, monkeypatch):
    """littlefs may count more blocks in use than there are."""
    with Board(port) as board:
        connection = board._connection
        assert board.free_flash() > 1_000_000
        connection.execute("os_, os = os, type('', (), {'statvfs': lambda p: "
                           "(4096, 4096, 352, -4, -4, 0, 0, 0, 0, 255)})")
        assert board.free_flash() == 0


# ---- ports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, is_port", [
    ("COM3", True), ("com12", True), ("\\\\.\\COM12", True), ("/dev/ttyACM0", True),
    ("combined", False), ("COM", False), ("digits.priot", False)])
def test_names_of_ports(name, is_port):
    assert choose._is_port(name) == is_port


@pytest.mark.parametrize("error, said", [
    (SerialException("could not open port 'COM3': PermissionError(13, 'Access is denied.', None, "
                     "5)"), "in use by another program"),
    (SerialException("could not open port 'COM3': FileNotFoundError(2, 'The system cannot find "
                     "the file specified.', None, 2)"), "no such port"),
    (SerialException("Cannot configure port, something went wrong."), "no serial port that works"),
    (SerialException(11, "Could not exclusively lock port"), "in use by another program"),
    (SerialException(13, "could not open port"), "no permission"),
    (SerialException(5, "could not open port"), "cannot be opened: input/output error; unplug"),
])
def test_why_a_port_does_not_open(error, said, monkeypatch):
    """On Windows the text alone tells."""
    def refuse(*_, **__):
        raise error

    port = type("Port", (), {"device": "COM3", "vid": None})
    monkeypatch.setattr(ports.list_ports, "comports", lambda: [port])
    monkeypatch.setattr(ports.serial, "Serial", refuse)
    assert said in ports.explain_refusal("COM3").lower()
    assert "no such port" in ports.explain_refusal("COM4")


def test_a_lock_tells_who_holds_it(tmp_path):
    lock = PortLock(str(tmp_path / "port"))
    with pytest.raises(BoardError, match=r"in use by another priot \(process \d+\)"):
        PortLock(str(tmp_path / "port"))
    lock.release()
    lock.release()
    PortLock(str(tmp_path / "port")).release()

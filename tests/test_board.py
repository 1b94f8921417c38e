"""deploy, push, pull, train and evaluate on the emulated Pico, through its serial port."""

import hashlib
import json
import re
from binascii import a2b_base64
from pathlib import Path

import numpy as np
import pytest
from pico_support import complaint, priot, running_pico
from PIL import Image
from priot.board import Board, BoardError, ports
from priot.board.files import Files
from priot.board.install import NATIVE, PACKAGE, package_files
from priot.errors import PriotError
from priot.formats import Adapter, Dataset, Model
from priot.jobs.train import TrainJob, train
from priot.oracle.step import Oracle
from priot.paths import native_module
from priot.planning.flash import file_blocks
from priot.targets.unix import UnixTarget
from support import random_dataset, random_model

SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10"
SHAPE = (1, 12, 12)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A small model, a dataset to learn and one to test."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(SPEC, SHAPE, seed=4)
    model.write(folder / "model.priot")
    random_dataset(model, 40, seed=3).write(folder / "train.prd")
    random_dataset(model, 30, seed=5).write(folder / "test.prd")
    return {path.stem: path for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    """A Pico with the package; tests give their files names of their own."""
    with running_pico(tmp_path_factory.mktemp("pico")) as running:
        yield running


@pytest.fixture
def board(pico):
    with Board(pico.port) as connected:
        yield connected


def on_unix(job: TrainJob) -> dict:
    """The report of the same job on the unix port."""
    return train(job, UnixTarget())


def test_deploy_to_a_bare_pico(files, tmp_path):
    """What is missing is copied, what is there is skipped, what would be in the way is named."""
    stale = {PACKAGE + "/trainer.py": b"broken", PACKAGE + "/old.mpy": b"M\x06"}
    with running_pico(tmp_path / "pico", stale, with_package=False) as pico:
        first = priot("deploy", "--port", pico.port, files["model"], files["train"])
        assert first.returncode == 0, first.stderr
        assert re.search(r"/lib/priot_native.mpy +[\d,]+  copied", first.stdout)
        report = tmp_path / "report.json"
        again = priot("deploy", "--port", pico.port, files["model"], "--json", report)
        assert again.returncode == 0, again.stderr
        assert "copied" not in again.stdout
        found = json.loads(report.read_text())
        assert not any(file["sent"] for file in found["files"])
        heap = found["heap"]
        assert heap["heap"] - heap["native"] - heap["package"] - heap["model"] >= heap["free"]
        assert heap["native"] >= 10_000 and heap["model"] >= files["model"].stat().st_size
        with Board(pico.port) as board:
            board.execute("import os; os.mkdir('/priot')")
        hidden = priot("deploy", "--port", pico.port)
        assert hidden.returncode == 1
        assert "/priot: would be imported instead" in complaint(hidden)
    there = pico.read_files()
    expected = {path.lstrip("/"): data for path, data in package_files().items()}
    expected["model.priot"] = files["model"].read_bytes()
    expected["train.prd"] = files["train"].read_bytes()
    assert there == expected


def test_a_native_module_of_another_processor_is_replaced(files, board):
    """A module built for this machine lies on the board: training brings the right one."""
    board.execute("import os")
    wrong = native_module("x64").read_bytes()
    board._files.put(wrong, NATIVE[0])
    report = board.evaluate(files["model"], files["test"])
    assert report["backend"] == "native"
    assert board._files.has(native_module("armv6m", "priot_native").read_bytes(), NATIVE[0])


def test_training_is_that_of_the_unix_port(files, pico, tmp_path):
    """`priot train --port`: report, scores and mask come back; evaluate takes them."""
    report, saved, mask = (tmp_path / name for name in ("r.json", "a.scores", "a.adapter"))
    done = priot("train", files["model"], files["train"], "--test", files["test"], "--epochs", 2,
                 "--seed", 7, "--validate", "--save", saved, "--mask", mask, "--json", report,
                 "--port", pico.port)
    assert done.returncode == 0, done.stderr
    same = on_unix(TrainJob(files["model"], files["train"], files["test"], epochs=2,
                            options={"seed": 7}, validate=True, save=tmp_path / "b.scores",
                            mask=tmp_path / "b.adapter"))
    assert saved.read_bytes() == (tmp_path / "b.scores").read_bytes()
    assert mask.read_bytes() == (tmp_path / "b.adapter").read_bytes()
    found = json.loads(report.read_text())
    assert found["backend"] == "native" and found["finished"]
    for key in ("accuracy_before", "accuracy_after", "confusion", "n_params", "backward_passes"):
        assert found[key] == same[key], key
    assert found["history"][0]["us_per_sample"] > 0

    evaluated = priot("evaluate", files["model"], files["test"], "--adapter", mask,
                      "--target", pico.port)
    assert evaluated.returncode == 0, evaluated.stderr
    assert f"{same['accuracy_after']:.2f} % of 30 images right" in evaluated.stdout


def test_a_dataset_larger_than_the_flash_is_streamed(files, tmp_path):
    """What does not fit stays here, and its samples are sent: the same scores."""
    model = Model.read(files["model"])
    big = tmp_path / "big.prd"
    random_dataset(model, 300, seed=8).write(big)
    package = sum(file_blocks(len(data)) for data in package_files().values())
    filler = bytes(1408 * 1024 - (package + 31) * 4096)  # leaves 70 kB beside it and its folders
    with running_pico(tmp_path / "pico", {"filler": filler}) as pico:
        with Board(pico.port) as board:
            assert 65536 < board.free_flash() < 65536 + big.stat().st_size
            board.train(files["model"], big, epochs=1, save=tmp_path / "a.scores")
            assert "big.prd" not in [entry.name for entry in board.listing()]
    on_unix(TrainJob(files["model"], big, epochs=1, save=tmp_path / "b.scores"))
    assert (tmp_path / "a.scores").read_bytes() == (tmp_path / "b.scores").read_bytes()


def test_push_takes_arrays_and_folders_of_images(pico, tmp_path):
    """Names may hold any letter; pixels are halved as in dataset files."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 12, 12), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2])
    np.savez(tmp_path / "größe ☂.npz", x=pixels, y=labels)
    for i, label in enumerate(labels):
        (tmp_path / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(tmp_path / "images" / str(label) / f"{i}.png")
    pushed = priot("push", "--port", pico.port, tmp_path / "größe ☂.npz", tmp_path / "images",
                   "--classes", 10)
    assert pushed.returncode == 0, pushed.stderr
    pulled = priot("pull", "--port", pico.port, "-o", tmp_path, "größe ☂.prd", "images.prd")
    assert pulled.returncode == 0, pulled.stderr
    arrays = Dataset.read(tmp_path / "größe ☂.prd")
    assert arrays.classes == 10
    assert (arrays.images[:, 0] == pixels >> 1).all() and (arrays.labels == labels).all()
    images = Dataset.read(tmp_path / "images.prd")
    order = np.argsort(labels, kind="stable")
    assert (images.images[:, 0] == pixels[order] >> 1).all()


def class_folders(folder, names, size):
    """Two pictures a class, of which a corner says which class it is."""
    grey = {"cat": 40, "dog": 120, "owl": 200}
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(2):
            picture = Image.new("RGB", size, (0, 0, 0))
            picture.paste((grey.get(name, 240),) * 3, (0, 0, size[0] // 2, size[1]))
            picture.save(folder / name / f"{i}.png")
    return folder


def test_a_later_session_is_added_by_the_names_of_its_classes(pico, tmp_path):
    sessions = {"one": ["cat", "dog", "owl"], "two": ["cat", "owl"], "three": ["owl"],
                "four": ["cat", "mug"]}
    for name, classes in sessions.items():
        class_folders(tmp_path / name, classes, (24, 24))
    first = priot("push", "--port", pico.port, tmp_path / "one", "--name", "k.prd", "--size",
                  "12x12")
    assert first.returncode == 0, first.stderr
    for name, total in (("two", 10), ("three", 12)):
        added = priot("push", "--port", pico.port, tmp_path / name, "--append", "k.prd")
        assert added.returncode == 0 and f"k.prd: {total} samples" in added.stdout, added.stderr
    for name, message in (("four", "mug: expected one of the classes cat, dog, owl"),
                          ("nameless.prd", "/k.prd: holds the classes cat, dog, owl")):
        if name == "nameless.prd":
            Dataset(np.full((1, 1, 12, 12), 9, np.uint8), np.zeros(1, np.uint8), 3).write(
                tmp_path / name)
        refused = priot("push", "--port", pico.port, tmp_path / name, "--append", "k.prd")
        assert refused.returncode == 1 and message in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert priot("pull", "--port", pico.port, "-o", tmp_path, "k.prd").returncode == 0
    whole = Dataset.read(tmp_path / "k.prd")
    assert whole.names == ("cat", "dog", "owl") and len(whole) == 12
    assert whole.labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 2, 2, 2, 2]
    assert (whole.images[:, 0, 0, 0] == np.array([20, 60, 100])[whole.labels]).all()


def test_a_script_captures_samples_and_trains(files, board, tmp_path):
    """The few lines that a user's script needs, as in device/README.md."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (20, 12, 12), dtype=np.uint8)
    labels = np.arange(20) % 10

    assert board.append("captured.prd", images[:8], labels[:8], classes=10) == 8
    assert board.append("captured.prd", images[8:], labels[8:]) == 20
    captured = board.pull("captured.prd", tmp_path)
    report = board.train(files["model"], captured, epochs=1, save=tmp_path / "a.scores")
    assert report["train_images"] == 20
    Adapter.read(board.pull("a.scores", tmp_path)).check_backbone(Model.read(files["model"]))

    whole = Dataset.read(captured)
    assert (whole.images[:, 0] == images >> 1).all() and (whole.labels == labels).all()
    names = [entry.name for entry in board.listing()]
    assert not [name for name in names if name.endswith((".part", ".more", ".tmp"))]
    older = tmp_path / "older" / "captured.prd"
    older.parent.mkdir()
    Dataset(whole.images[:8], whole.labels[:8], 10).write(older)
    with pytest.raises(BoardError, match="holds 8 samples, /captured.prd on the board 20: bring"):
        board.train(files["model"], older, epochs=1)
    assert board.read("captured.prd") == captured.read_bytes()
    with pytest.raises(BoardError, match="captured.prd: images of"):
        board.append("captured.prd", images[:, :8], labels)
    with pytest.raises(BoardError, match="is no dataset file"):
        board.append("a.scores", images, labels)


def test_pull_refuses_what_is_damaged_or_missing(board, pico, tmp_path):
    board._files.put(b"PRIA" + bytes(60), "/bad.scores")
    board.close()
    damaged = priot("pull", "--port", pico.port, "-o", tmp_path, "bad.scores")
    assert damaged.returncode == 1
    assert "bad.scores: version: found 0, expected 1" in complaint(damaged)
    assert not (tmp_path / "bad.scores").exists()
    listed = priot("pull", "--port", pico.port, "--list")
    assert "bad.scores" in listed.stdout and "bytes of flash are free" in listed.stdout
    missing = priot("pull", "--port", pico.port, "-o", tmp_path, "none.scores")
    assert "none.scores: no such file on the board" in complaint(missing)
    with Board(pico.port) as again:
        again.remove("bad.scores")


def test_names_that_would_collide(files, board, tmp_path):
    """Two files of one name cannot both be on the board."""
    other = tmp_path / "train.prd"
    other.write_bytes(files["test"].read_bytes())
    with pytest.raises(PriotError, match="has the same name"):
        board.train(files["model"], files["train"], test=other, epochs=1)


POOLED = "conv 4 5, relu, maxpool 2, flatten, linear 10"  # no fast kernel takes 5x5 and a pool
USES = """
import gc
import os
import priot
PREPARE
before = gc.mem_alloc()
net = priot.load("/NAME.priot")
gc.collect()
import sys
print(priot.backend.name, gc.mem_alloc() - before,
      " ".join(sorted(name for name in sys.modules if name.startswith("priot_"))))
"""


def kernels_of(board: Board, name: str, prepare: str = "gc.collect()") -> tuple[str, int, list]:
    """Backend, bytes of heap and native modules that loading a model brings, on a fresh heap."""
    connection = board._connection
    connection.soft_reset()
    backend, used, *modules = connection.execute(
        USES.replace("PREPARE", prepare).replace("NAME", name)).split()
    return backend, int(used), modules


def test_kernels_come_to_the_heap_when_a_network_wants_them(files, board):
    """The fast ones alone where they take every layer, the portable ones for others."""
    pooled = random_model(POOLED, SHAPE, seed=4)
    board._files.put(files["model"].read_bytes(), "/fast.priot")
    board._files.put(pooled.to_bytes(), "/pooled.priot")
    fast = kernels_of(board, "fast")
    assert (fast[0], fast[2]) == ("native", ["priot_native"])
    assert kernels_of(board, "pooled")[2] == ["priot_native", "priot_portable"]
    portable = kernels_of(board, "fast", "priot.backend.use('portable'); gc.collect()")
    assert (portable[0], portable[2]) == ("portable", ["priot_portable"])
    # which had come before the network was loaded
    assert fast[1] - portable[1] > native_module("armv6m", "priot_native").stat().st_size


IMPORTED = ("conv 8 3 stride 2 pad 0x1x0x1 bias, relu, dw 3 pad 1 bias, relu, "
            "conv 8 1 bias, relu, dw 3 stride 2 pad 1 bias, relu, globalpool, linear 10 bias")
LOGITS = """
import priot
net = priot.load("/imported.priot")
def put_out():
    net.put(bytes([i * 37 % 128 for i in range(len(net.x))]))
    net.forward()
    print(*[v - 256 if v > 127 else v for v in net.logits])
put_out()
with priot.BothCores():
    assert priot.cores.at_work == 2
    put_out()
"""

UNLENT = """
import priot_layers
try:
    priot_layers.plan(1, bytearray(4))
except ValueError as e:
    print(e)
"""


def test_imported_layers_have_fast_kernels_of_their_own(board):
    """priot_layers takes them all: no portable kernels come, and the logits are the oracle's, on
    both cores, too."""
    model = random_model(IMPORTED, SHAPE, seed=4)
    board._files.put(model.to_bytes(), "/imported.priot")
    assert kernels_of(board, "imported")[2] == ["priot_layers", "priot_native"]
    image = (np.arange(np.prod(SHAPE)) * 37 % 128).astype(np.uint8).reshape(SHAPE)
    expected = Oracle(model, "priot").forward(image)
    assert [int(v) for v in board._connection.execute(LOGITS).split()] == 2 * [
        int(v) for v in np.frombuffer(bytes(expected), np.int8)]
    board._connection.soft_reset()
    said = board._connection.execute(UNLENT)  # it borrows of priot_native
    assert said.strip() == "priot_native: has lent nothing yet"


def test_a_layer_without_its_kernels_is_refused(pico):
    """priot_portable.mpy is not on the board."""
    pooled = random_model(POOLED, SHAPE, seed=4)
    with Board(pico.port) as board:
        board._files.put(pooled.to_bytes(), "/pooled.priot")
        board._files.remove(NATIVE[1])
        with pytest.raises(BoardError, match="priot_portable.mpy: not installed; a layer needs"):
            kernels_of(board, "pooled")
    with Board(pico.port) as board:
        board.deploy()


class QuickBoard:
    """A connection whose board ends the code at once: its last "+" and the end come together."""

    port, doing = "quick", ""

    def __init__(self, data: bytes) -> None:
        self.left = len(data)
        self.ended = b""
        self.answers = {"print(size": "-1", "print(free_bytes": "99999",
                        "print(digest": hashlib.sha256(data).hexdigest()}

    def execute(self, code: str) -> str:
        return self.answers.get(code.rpartition("(")[0].partition("('")[0], "")

    def start(self, code: str) -> None:
        assert code.startswith("put(")

    def send(self, line: bytes) -> None:
        self.left -= len(a2b_base64(line))

    def receive(self) -> bytes:
        return b"+" if self.left else b"+\x04\x04>"

    def finish(self, seen: bytes = b"") -> str:
        self.ended += seen
        return ""


def test_the_end_may_come_with_the_last_answer():
    data = bytes(range(256)) * 20
    connection = QuickBoard(data)
    Files(connection).put(data, "/a")
    assert connection.left == 0 and connection.ended == b"\x04\x04>"


def test_the_emulated_pico_needs_no_name(pico, monkeypatch, tmp_path):
    """From any folder; and whoever names its port wrongly is told the right one."""
    monkeypatch.setattr(ports, "PICO_PORT", tmp_path / "port")
    monkeypatch.setattr(ports, "boards", lambda: [])
    with pytest.raises(BoardError, match="no board is plugged in"):
        ports.only_board()
    (tmp_path / "port").symlink_to(pico.port)
    assert ports.only_board() == str(tmp_path / "port")
    monkeypatch.chdir(tmp_path)
    assert ports.explain_refusal("build/pico/port") == (
        f"no such port; that of the emulated Pico is {tmp_path / 'port'}")
    monkeypatch.setattr(ports, "boards", lambda: ["/dev/ttyACM0"])
    with pytest.raises(BoardError, match="several boards"):
        ports.only_board()

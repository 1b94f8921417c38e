"""Weights that stay in flash: the kernels that read them, the blocks of a file, what is refused.

On the unix port the flash is memory, with the littlefs of MicroPython in it (tests/device/rp2.py).
The long form of the operations around a model:

    PRIOT_FLASH_OPERATIONS=10000 .venv/bin/python -m pytest tests/test_flash.py -k operations
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernels.layers import linear_descriptor
from kernels.learning import random_scores, random_selection
from pico_support import running_pico
from power.flash import make_board
from priot import cli
from priot.board import Board
from priot.board.connection import Connection
from priot.board.errors import BoardError
from priot.board.memory import Memory
from priot.commands.deploy import _memory_tables
from priot.emulator.flash_image import FILES_START
from priot.formats import Model
from priot.network import fields as f
from priot.oracle import kernels as oracle
from priot.planning.advice import in_flash
from priot.planning.board import Limits, plan_trainings
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget
from support import (
    HANG_S,
    import_device,
    micropython_command,
    random_dataset,
    random_model,
)

from device import flash_kernels

DEVICE_SCRIPTS = Path(__file__).parent / "device"
OPERATIONS = int(os.environ.get("PRIOT_FLASH_OPERATIONS", "300"))
BACKENDS = ("native", "viper")
SPEC = ("conv 16 3 pad 1, relu, maxpool 2, conv 64 3 pad 1, relu, maxpool 2, "
        "conv 64 3 pad 1, relu, flatten, linear 48, relu, linear 10 bias")


def run(script: Path | str, *arguments: object, backend: str = "native",
        heap_bytes: int = 4_000_000) -> subprocess.CompletedProcess:
    """Run a script on the unix port, with the module rp2 of tests/device."""
    command, environment = micropython_command(script, *map(str, arguments), backend=backend,
                                               heap_bytes=heap_bytes)
    environment["MICROPYPATH"] += os.pathsep + str(DEVICE_SCRIPTS)
    return subprocess.run(command, env=environment, capture_output=True, text=True,
                          timeout=HANG_S)


def answer(*arguments, **options):
    """The JSON in the last line that a script prints."""
    result = run(*arguments, **options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model of 13 blocks: small layers, linear ones and convolutions."""
    path = tmp_path_factory.mktemp("flash") / "m.priot"
    random_model(SPEC, (1, 16, 16), 3).write(path)
    return path


# ---- the kernels -----------------------------------------------------------------------------


def cases() -> list[dict]:
    """Layers whose weights lie in pieces, in any order, with gaps between them."""
    rng = np.random.default_rng(20)
    found = []
    for i in range(120):
        n_row, n_out = 4 * int(rng.integers(1, 40)), int(rng.integers(1, 20))
        d = linear_descriptor(n_row, n_out, RULE=int(rng.choice(
            [f.FROZEN, f.PRUNE, f.GAIN, f.WEIGHTS])), SELECTION=int(rng.integers(3)),
            TAU=int(rng.integers(1, 128)), THRESHOLD=int(rng.integers(0, 257)))
        w = rng.integers(1, 256, n_row * n_out).astype(np.uint8)
        select, n_scores = random_selection(rng, d, w)
        cuts = 4 * np.unique(rng.integers(0, w.size // 4, int(rng.integers(0, 8))))
        parts = [part for part in np.split(w, cuts) if part.size]
        flash, places = bytearray(rng.bytes(4 * int(rng.integers(3)))), {}
        for j in rng.permutation(len(parts)):
            places[j] = len(flash)
            flash += parts[j].tobytes() + rng.bytes(4 * int(rng.integers(3)))
        words = w.view("<u4").astype(np.uint64)
        sums = [int(np.sum(words)) % 2**32, int(np.sum(np.cumsum(words))) % 2**32]
        sums[i % 2] ^= i % 3 == 0  # every third is not what it was
        found.append({
            "d": d.tolist(), "flash": flash.hex(), "select": select.hex(),
            "scores": random_scores(rng, int(n_scores)).tobytes().hex(),
            "pieces": [int(n) for j, part in enumerate(parts) for n in (places[j], part.size)],
            "checks": [7, 7, *sums], "rows": int(rng.integers(1, n_out + 1)),
            "columns": 4 * int(rng.integers(1, n_row // 4 + 1)), "w": w.tobytes().hex(),
            "ROW": f.ROW, "ROWS": f.ROWS, "N_ROW": n_row, "N_OUT": n_out})
    return found


def expected(case: dict, i: int) -> list:
    """What the kernels have to give for a case, by the oracle."""
    d, n_row, n_out = np.array(case["d"], np.int32), case["N_ROW"], case["N_OUT"]
    d[f.ROW], d[f.ROWS] = 0, n_out
    weff = np.zeros(n_row * n_out, np.uint8)
    oracle.effective_weights((weff, *(np.frombuffer(bytes.fromhex(case[name]), np.uint8)
                                      for name in ("w", "scores", "select")), d))
    weff = weff.reshape(n_out, n_row)
    rows = [weff[row:row + case["rows"]] for row in range(0, n_out, case["rows"])]
    found: list = [part.tobytes().hex() for part in rows]
    w, select = (np.frombuffer(bytes.fromhex(case[name]), np.uint8) for name in ("w", "select"))
    scored = oracle.scored_edges(w, select, d).reshape(n_out, n_row)
    starts = scored.sum(axis=1).cumsum() - scored.sum(axis=1)
    for at in range(0, n_row, case["columns"]):
        end = at + case["columns"]
        found += [weff[:, at:end].tobytes().hex(), []]
        if d[f.SELECTION]:
            found[-1] = [int(n) for to in (end, at) for n in starts + scored[:, :to].sum(axis=1)]
    return [found, int(i % 3 == 0)]


@pytest.mark.parametrize("kernels", ["cpython", "priot_flash", "priot.viper_flash"])
def test_kernels_read_what_the_oracle_makes_of_the_weights(kernels, tmp_path):
    wanted = cases()
    if kernels == "cpython":
        found = [flash_kernels.run(import_device("viper_flash"), case) for case in wanted]
    else:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps(wanted))
        found = answer(DEVICE_SCRIPTS / "flash_kernels.py", kernels, path)
    for i, (case, result) in enumerate(zip(wanted, found, strict=True)):
        assert result == expected(case, i), case["d"]


REFUSED = """
import priot_flash
from array import array
n_fields, n_out, n_row, rows = %r
d = array("i", [0] * n_fields)
d[n_out], d[n_row], d[rows] = 4, 8, 4
good = [bytearray(32), array("I", [0] * 4), bytearray(64), array("I", [0, 16, 20, 16]), b"", b"",
        d]
print(priot_flash.flash_rows(good), priot_flash.flash_columns(good, 0))
def other(**values):
    changed = array("i", d)
    for name, value in values.items():
        changed[{"n_out": n_out, "n_row": n_row, "rows": rows}[name]] = value
    return changed
bad = [(0, bytearray(28)), (0, bytes(32)), (1, array("I", [0] * 3)), (2, bytearray(35)),
       (3, array("I", [0, 16, 49, 16])), (3, array("I", [0, 16, 20, 20])),
       (3, array("I", [0, 16])), (3, array("I", [2, 16, 20, 16])),
       (3, array("I", [0xFFFFFFF0, 32])), (5, b"1234"),
       (6, other(n_row=9)), (6, other(n_out=0)), (6, other(rows=5)), (6, other(n_out=65535)),
       (6, array("i", [0] * (n_fields - 1)))]
for i, value in bad:
    operands = good[:i] + [value] + good[i + 1:]
    for kernel in (priot_flash.flash_rows, lambda o: priot_flash.flash_columns(o, 0)):
        if i == 1 and kernel is not priot_flash.flash_rows:
            continue  # cursors: none are wanted
        try:
            kernel(operands)
            print("taken:", i, value)
        except (ValueError, TypeError):
            pass
for first in (-4, 2, 4):
    try:
        print("taken:", first, priot_flash.flash_columns(good, first))
    except ValueError:
        pass
"""


def test_bad_operands_are_refused():
    result = run(REFUSED % ([f.N_FIELDS, f.N_OUT, f.N_ROW, f.ROWS],))
    assert result.stdout == "0 0\n", result.stdout + result.stderr


# ---- the file --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_operations_on_files_never_give_a_wrong_prediction(model, backend):
    operations = OPERATIONS if backend == "native" else OPERATIONS // 3
    found = answer(DEVICE_SCRIPTS / "flash_churn.py", model, backend, 4, operations,
                   backend=backend)
    assert found["wrong"] == 0
    assert found["right"] > operations // 4 and found["refused"] > operations // 40, found
    assert found["loaded"] > operations // 40, found


# ---- computing and training ------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_trains_and_predicts_as_with_weights_in_ram(model, backend, tmp_path):
    """Kept effective weights, some rows at a time, all edges and some; nothing is allocated."""
    data = tmp_path / "data.prd"
    random_dataset(Model.read(model), 12, 5).write(data)
    wanted = [("priot", {"layout": "kept"}), ("priot", {"layout": "small"}),
              ("priot-s", {"layout": "small", "fraction": 5}),
              ("priot-s", {"layout": "small", "fraction": 30, "keep": 60}),
              ("gain", {"layout": "small", "fraction": 20, "last": 3}), ("gain", {}),
              ("head", {}), ("priot", {"last": 2}), ("weights", {"last": 1}),
              ("weights16", {"last": 1})]
    if backend == "viper":
        wanted = wanted[1:4:2]
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps(wanted))
    found = answer(DEVICE_SCRIPTS / "flash_training.py", model, data, backend, 6, cases,
                   backend=backend)
    for case, (ram, flash) in zip(wanted, found, strict=True):
        assert flash[0] == ram[0], case
        assert len(set(ram[0])) > 5, case
        assert flash[1] == ram[1] == case[1].get("layout", "kept"), case
        assert flash[2] <= 0 and ram[3] == 0 < flash[3], case


REFUSALS = """
import priot, rp2, sys
rp2.mount()
rp2.copy(sys.argv[1], "m.priot")
net = priot.load("m.priot", flash=True)
for method, options in (("weights", {}), ("weights16", {"last": 3}), ("niti", {"last": 1})):
    try:
        priot.Trainer(net, method, **options)
    except ValueError as e:
        print(e)
print(net.predict(bytes(len(net.x))) >= 0)
"""


def test_what_cannot_train_from_flash_is_refused_in_a_line(model):
    result = run(REFUSALS, model)
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "method", "method", "niti", "True"], result.stdout + result.stderr


def test_plan_leaves_weights_in_flash_where_they_do_not_fit(model, tmp_path):
    """By itself where loading lacks room; where training alone does, it says so."""
    large = tmp_path / "large.priot"
    random_model("conv 16 3 pad 1, relu, maxpool 2, conv 64 3 pad 1, relu, maxpool 2, "
                 "conv 128 3 pad 1, relu, maxpool 2, conv 128 3 pad 1, relu, flatten, linear 10",
                 (1, 16, 16), 3).write(large)
    wide = tmp_path / "wide.priot"  # weights that would leave 80 kB, beside tensors of 49 kB
    random_model("conv 16 3 pad 1, relu as a, conv 16 3 pad 1, add a, relu, maxpool 2, "
                 "conv 32 3 pad 1, relu, maxpool 2, conv 64 3 pad 1, relu, maxpool 2, "
                 "conv 96 3 pad 1, relu, flatten, linear 10", (3, 32, 32), 3).write(wide)
    training = Training.of("priot-s", fraction=5)
    for path, flash, stays, fits in ((large, None, True, True), (large, False, False, False),
                                     (model, None, False, False), (model, True, True, True)):
        planner = Planner(UnixTarget(heap_for(path)), path, "native", flash=flash)
        plan = plan_trainings(planner, [training], Limits(), {})[0]
        assert (plan.network.flash_bytes > 0, not plan.refusals) == (stays, fits), plan.refusals
        assert stays == (plan.network.weight_bytes < plan.network.n_weights)
    for flash in (None, False):
        planner = Planner(UnixTarget(heap_for(wide)), wide, "native", flash=flash)
        plan = plan_trainings(planner, [Training.of("head")], Limits(), {})[0]
        assert (plan.network.flash_bytes > 0, not plan.refusals) == (flash is None,) * 2
    planner = Planner(UnixTarget(heap_for(large)), large, "native")
    plan = plan_trainings(planner, [training], Limits(), {})[0]
    assert plan.weights_reason.startswith("in RAM they lack ")
    for flash, fits in ((None, True), (False, None)):  # it was said that they lie in RAM
        planner = Planner(UnixTarget(heap_for(model)), model, "native", flash=flash)
        other = in_flash(planner, training, Limits(), {})
        assert (other and other.fits) == fits


def test_deploy_says_why_weights_stay_in_flash():
    def memory(in_flash: int) -> Memory:
        return Memory(heap=246_144, native=20_000, package=47_000, model=60_000, free=110_000,
                      weights=2_000, work=40_000, in_flash=in_flash)

    assert memory(576_000).weights_reason == "in RAM they lack 408,000 bytes of heap"
    assert memory(76_000).weights_reason == (
        "in RAM they would leave 92,000 bytes of heap for all else")
    report = {"files": [], "flash_bytes": 1_441_792, "flash_free_bytes": 1_000_000}
    table = _memory_tables(report, memory(76_000))
    assert any("2,000  and biases; 76,000 more stay in flash" in line for line in table)


ON_A_PICO = """
import json, os, priot
from binascii import crc32
net = priot.load("m.priot", flash=True)
t = priot.Trainer(net, "priot-s", fraction=20, layout="small", seed=3)
data = priot.Dataset("data.prd")
crcs = []
for i in range(4):
    t.step(data.read(i, net.record))
    crc = crc32(net.logits)
    for layer in t.layers:
        crc = crc32(layer.scores, crc)
    crcs.append(crc)
print(json.dumps([net.flash_bytes, crcs]))
"""
LOADED = """
import json, priot, rp2, sys
rp2.attach(sys.argv[1], int(sys.argv[2]))
net = priot.load("m.priot", flash=True)
net.put(bytes([64] * len(net.x)))
net.forward()
print(json.dumps([net.crc, list(net.logits)]))
"""
REPLACED = """
import gc, os
del t, data, layer  # what is left of the heap is in small pieces beside a trainer
net.reset()
gc.collect()
os.remove("m.priot")
print(net.evaluate("data.prd").total)
for i in range(40):  # littlefs gives out every free block before it comes to those of the model
    with open("x", "wb") as f:
        for _ in range(40):
            f.write(bytes(1000))
try:
    print(net.predict(bytes(len(net.x))))
except ValueError as e:
    print(e)
"""


def test_weights_stay_in_the_flash_of_a_pico(model, tmp_path):
    """Through rp2.Flash and the blocks of its own littlefs: what is learned is that of the PC."""
    data = tmp_path / "data.prd"
    random_dataset(Model.read(model), 8, 5).write(data)
    script = ON_A_PICO.replace("import json", "import rp2\nrp2.mount()\n" + "".join(
        f'rp2.copy("{path}", "{path.name}")\n' for path in (model, data)) + "import json")
    expected = answer(script)
    with running_pico(tmp_path / "pico", {"m.priot": model.read_bytes(),
                                          "data.prd": data.read_bytes()}) as pico:
        board = Connection(pico.port)
        board.soft_reset()
        assert json.loads(board.execute(ON_A_PICO).splitlines()[-1]) == expected
        said = board.execute(REPLACED).splitlines()
        assert said == ["8", "m.priot: the model file was replaced: load it again"]
        board.close()
    assert expected[0] > 40_000


def test_power_lost_while_a_model_is_deployed(model, tmp_path):
    """On the flash is the model of before then, or the new one, and computes from there."""
    new = tmp_path / "m.priot"
    random_model(SPEC, (1, 16, 16), 4).write(new)
    flash, before = tmp_path / "flash.bin", model.read_bytes()
    port = make_board(flash, {"m.priot": before})
    found = []
    for cut in (2, 120, 60, 4, 2, 0):  # operations of the flash; a copy goes on where it ended
        try:
            with Board(f"{port}?cut={cut}") as board:
                board._files.put(new.read_bytes(), "/m.priot")
        except BoardError:
            assert cut
        found.append(answer(LOADED, flash, FILES_START))
    known = [[Model.read(path).crc, logits] for path, (_, logits) in (
        (model, found[0]), (new, found[-1]))]
    assert known[0] != known[1] and known[0] == found[0] and known[1] == found[-1]
    assert all(one in known for one in found)


def test_evaluates_from_flash_where_that_is_asked_for(model, tmp_path, capsys):
    data = tmp_path / "data.prd"
    random_dataset(Model.read(model), 8, 5).write(data)
    assert cli.main(["evaluate", str(model), str(data), "--weights-in", "ram"]) == 0
    assert cli.main(["evaluate", str(model), str(data), "--weights-in", "flash"]) == 1
    assert "MicroPython does not show this board's flash as memory" in capsys.readouterr().err

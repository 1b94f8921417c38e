"""`priot plan` against the emulated Pico: heap in use and free, largest block, layout, kernels."""

import binascii
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from plan_support import SAMPLES, least, perceptron, planned
from priot.board.connection import Connection
from priot.board.errors import BoardRefused
from priot.board.install import package_files
from priot.cli import main
from priot.emulator import Pico
from priot.formats import Adapter, AdapterLayer, Model
from priot.importer import import_file
from priot.paths import BACKBONES, ROOT
from priot.planning.board import Limits, Plan, plan_adapter
from priot.planning.flash import BLOCK_BYTES, file_blocks
from priot.planning.heap import BOOT_BYTES, after_import
from priot.planning.known import BOARDS
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget
from support import micropython, random_dataset, random_model

HEAP = (Path(__file__).parent / "plan" / "heap.py").read_text()
BACKBONE = BACKBONES / "mnist-a-0.priot"
TOLERANCE = 0.05
CAUTION_BYTES = 10_240  # by which a plan may take the largest block for smaller than it is

# name -> network, input shape
NETWORKS = {
    "a": ("conv 8 3, relu, maxpool 2, conv 16 3, relu, maxpool 2, flatten, linear 64, relu, "
          "linear 10", (1, 28, 28)),
    "pools": ("conv 5 5 stride 2 pad 2, relu, avgpool 2, conv 7 3 pad 1, maxpool 3 stride 2, "
              "maxpool 2, relu, flatten, linear 21, relu, linear 10", (3, 24, 24)),
    "biased": ("conv 8 3 bias, relu as x, conv 8 3 pad 1 bias, add x, relu, dw 3 bias, relu6, "
               "globalpool, linear 10 bias", (3, 16, 16)),
    # as keyword networks are; 1x1 layers of so many weights that "small" shares effective ones
    "separable": ("conv 48 10x4 stride 2 pad 4x5x1x1 bias, relu, dw 3 pad 1 bias, relu, "
                  "conv 48 1 bias, relu as x, dw 3 pad 1 bias, relu, conv 48 1 bias, add x, relu, "
                  "globalpool, linear 10 bias", (1, 49, 10)),
    # too large for layout "auto" to keep its effective weights
    "wide": ("conv 16 3 pad 1, relu, maxpool 2, flatten, linear 40, relu, linear 10",
             (1, 16, 16)),
}
CASES = [("a", "priot", {}), ("a", "gain", {"fraction": 10, "select": "layers"}),
         ("a", "niti", {}), ("pools", "weights", {}), ("pools", "priot", {"keep": 80}),
         ("wide", "priot", {}), ("biased", "bias", {}), ("separable", "weights", {}),
         ("separable", "priot", {"layout": "small"})]
# public networks, where they lie beside the checkout: file, method, options, kernels
MODELS = ROOT.parent / "shared" / "models"
KEYWORDS = "mlperf_kws_ref_model_float32.tf2onnx.onnx"
RESNET = "mlperf_pretrainedResnet.tflite"
PUBLIC = [(KEYWORDS, "weights", {}, "native"),
          pytest.param(KEYWORDS, "priot", {}, "portable", marks=pytest.mark.long),
          pytest.param(KEYWORDS, "gain", {}, "portable", marks=pytest.mark.long),
          pytest.param(RESNET, "weights", {"last": 4, "layout": "small"}, "portable",
                       marks=pytest.mark.long)]


def adapter_of(model: Model) -> Adapter:
    """A gain of 1 for every edge."""
    return Adapter(model.crc, "gains", "gain", [
        AdapterLayer(i, np.zeros(stage.rows.size, np.int8))
        for i, stage in enumerate(model.weight_stages)])


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Those above, the largest that is said to fit, and one that lacks 8 kB: their files."""
    folder = tmp_path_factory.mktemp("models")
    found = {name: random_model(*network, seed=1) for name, network in NETWORKS.items()}
    found["brink"] = perceptron(least(folder, 0) - 1)
    found["beyond"] = perceptron(least(folder, CAUTION_BYTES))
    paths = {name: folder / f"{name}.priot" for name in found}
    for name, path in paths.items():
        found[name].write(path)
    adapter_of(found["a"]).write(folder / "a.scores")
    return paths


@contextmanager
def connected(models: Mapping[str, Path], folder: Path, samples: int = SAMPLES,
              others: Mapping[str, bytes] | None = None) -> Iterator[Connection]:
    """A connection to an emulated Pico that has package, models and datasets beside them."""
    files = {**package_files(), **(others or {})}
    for name, path in models.items():
        random_dataset(Model.read(path), samples, 1).write(path.with_suffix(".prd"))
        for kept in (path, path.with_suffix(".prd"), path.with_suffix(".scores")):
            if kept.exists():
                files[f"/{name}{kept.suffix}"] = kept.read_bytes()
    files["/mnist.priot"] = BACKBONE.read_bytes()
    pico = Pico(folder)
    pico.write_files(files)
    with pico:
        connection = Connection(pico.port)
        yield connection
        connection.close()


@pytest.fixture(scope="module")
def board(models, tmp_path_factory):
    with connected(models, tmp_path_factory.mktemp("pico")) as connection:
        yield connection


@pytest.fixture(scope="module")
def public(tmp_path_factory, long) -> dict[str, Path]:
    """Public networks as model files. What they are calibrated with decides no size."""
    folder = tmp_path_factory.mktemp("public")
    paths = {}
    for file in (KEYWORDS, *[RESNET] * long):
        graph, _ = import_file(MODELS / file)
        rng = np.random.default_rng(1)
        np.savez(folder / "data.npz", x=rng.normal(0, 30, (8, *graph.file_shape)),
                 y=np.arange(8))
        paths[file] = folder / f"{file.split('_')[1].split('.')[0]}.priot"
        assert main(["import", str(MODELS / file), "--calibrate", str(folder / "data.npz"),
                     "--force", "-o", str(paths[file])]) == 0
    return paths


@pytest.fixture(scope="module")
def public_board(public, tmp_path_factory):
    named = {path.stem: path for path in public.values()}
    with connected(named, tmp_path_factory.mktemp("pico"), 2) as connection:
        yield connection


def board_says(board: Connection, name: str, method: str, options: dict,
               backend: str = "native") -> tuple[dict, list]:
    """Used, free and largest bytes of heap at each moment, and blocks, layout and kernels.

    What the measuring code itself takes is found from the heap before it came, and left out.
    """
    board.soft_reset()
    before = int(board.execute(
        "import gc; gc.collect(); gc.collect(); print(gc.mem_alloc())"))
    board.soft_reset()
    printed = board.execute(f"MODEL = '/{name}.priot'\nDATASET = '/{name}.prd'\n"
                            f"METHOD = {method!r}\nOPTIONS = {options!r}\n"
                            f"BACKEND = {backend!r}\n{HEAP}")
    moments, *others = json.loads(printed.splitlines()[-1])
    measuring = moments[0][1] - before
    return {moment: (used - measuring, free + measuring, largest + measuring)
            for moment, used, free, largest in moments}, others


def near(planned: int, found: int) -> bool:
    """Within the tolerance that `priot plan` promises."""
    return abs(planned - found) <= TOLERANCE * found


@pytest.mark.parametrize("name, method, options", CASES)
def test_heap_of_the_board(board, models, name, method, options, tmp_path):
    """Blocks, layout and kernels exactly, the heap within 5 %."""
    plan = planned(models[name], Training.of(method, **options))
    found, (blocks, ram_bytes, layout, kernels) = board_says(board, name, method, options)
    assert [plan.network.weight_bytes, plan.network.work_bytes] == blocks
    assert plan.learned.ram_bytes == ram_bytes
    assert plan.learned.layout == layout == options.get(
        "layout", "small" if name == "wide" else "kept")
    assert [stage["kernels"] for stage in plan.network.stages] == kernels
    assert abs(found["boot"][0] - BOOT_BYTES) < 1024
    compare(plan, found, "training")
    if name == "separable":
        assert learned_here(models[name], method, options, tmp_path) == learned_there(board)


@pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}")
@pytest.mark.parametrize("file, method, options, backend", PUBLIC)
def test_public_networks_train_on_a_pico(public, public_board, tmp_path, file, method, options,
                                         backend):
    """What is said to fit trains, takes what is said, and learns as MicroPython here."""
    path = public[file]
    plan = planned(path, Training.of(method, **options), backend, samples=2)
    assert not plan.refusals
    found, (blocks, ram_bytes, layout, _) = board_says(public_board, path.stem, method, options,
                                                       backend)
    assert [plan.network.weight_bytes, plan.network.work_bytes] == blocks
    assert (plan.learned.ram_bytes, plan.learned.layout) == (ram_bytes, layout)
    compare(plan, found, "training")
    assert learned_here(path, method, options, tmp_path) == learned_there(public_board)


def learned_here(path: Path, method: str, options: dict, folder: Path) -> bytes:
    """The file of scores that training as on the board leaves under MicroPython's unix port."""
    saved = folder / "learned.scores"
    micropython(f"import priot\nt = priot.Trainer(priot.load({str(path)!r}), {method!r}, "
                f"**{options!r})\nt.fit({str(path.with_suffix('.prd'))!r}, verbose=False)\n"
                f"t.save({str(saved)!r})", backend="native")
    return saved.read_bytes()


def learned_there(board: Connection) -> bytes:
    """The file that tests/plan/heap.py has left on the board."""
    board.soft_reset()
    lines = board.execute(
        "import binascii\nwith open('/learned.scores', 'rb') as f:\n"
        "    while True:\n        part = f.read(600)\n        if not part:\n            break\n"
        "        print(str(binascii.b2a_base64(part), 'ascii').strip())")
    return b"".join(map(binascii.a2b_base64, lines.split()))


def compare(plan: Plan, found: dict[str, tuple], last: str) -> None:
    """In use and free within 5 % at every moment; never more in one piece than there is."""
    for moment, heap in (("imported", after_import(plan.code)), ("loaded", plan.loaded),
                         (last, plan.heap)):
        used, free, largest = found[moment]
        assert near(heap.used, used) and near(heap.free, free), (moment, heap, found)
        assert 0 <= largest - heap.largest <= CAUTION_BYTES, (moment, heap, found)


@pytest.mark.parametrize("layout", ["kept", "small"])
def test_heap_with_an_adapter(board, models, layout):
    """`Network.apply` takes what `priot plan --adapter` says."""
    planner = Planner(UnixTarget(heap_for(models["a"])), models["a"], "native")
    plan = plan_adapter(planner, models["a"].with_suffix(".scores"), layout, Limits(), {})
    found, (blocks,) = board_says(board, "a", "apply", {"path": "/a.scores", "layout": layout})
    assert [plan.network.weight_bytes, plan.network.work_bytes] == blocks
    compare(plan, found, "applied")


def test_few_edges_train_in_10_kB(board):
    """Gains for 10 % of the large layer's edges and all others, on the kernels that take least."""
    options = {"fraction": 10, "select": "layers", "layout": "small"}
    learned = planned(BACKBONE, Training.of("gain", **options), "portable").learned
    board.soft_reset()
    said = board.execute("import priot\npriot.backend.use('portable')\n"
                         "t = priot.Trainer(priot.load('/mnist.priot'), 'gain', "
                         f"**{options!r})\nprint(t.ram_bytes, t.net.backend)")
    assert said.split() == [str(learned.ram_bytes), "portable"]
    assert learned.ram_bytes < 10_000


def test_on_a_pico_w(tmp_path):
    """Its heap and flash on a Pico: the rest is taken, by a block from boot.py on and by a file.

    What training takes and leaves is what was planned, and it learns as MicroPython here.
    """
    pico, pico_w = BOARDS["pico"], BOARDS["pico-w"]
    taken = pico.heap_bytes - pico_w.heap_bytes
    blocks = pico.flash_blocks - pico_w.flash_blocks
    size = blocks * BLOCK_BYTES
    while file_blocks(size) > blocks:
        size -= 64
    others = {"/boot.py": b"taken = bytearray(%d)\n" % (taken - 16), "/taken": bytes(size)}
    path = tmp_path / "a.priot"
    random_model(*NETWORKS["a"], seed=1).write(path)
    plan = planned(path, Training.of("weights"),
                   limits=Limits(pico_w.heap_bytes, pico_w.flash_blocks))
    assert not plan.refusals
    with connected({"a": path}, tmp_path, others=others) as board:
        said = board.execute("import os; s = os.statvfs('/'); print(s[3])")
        # beside the model there are its dataset and that of the other tests
        assert 0 <= pico_w.flash_blocks - plan.flash.blocks - int(said) < 40
        board.soft_reset()
        heap = board.execute("import gc; gc.collect(); print(gc.mem_free() + gc.mem_alloc())")
        assert abs(int(heap) - pico.heap_bytes) < 64
        found, (_, ram_bytes, layout, _) = board_says(board, "a", "weights", {})
        assert (plan.learned.ram_bytes, plan.learned.layout) == (ram_bytes, layout)
        for moment, planned_heap in (("loaded", plan.loaded), ("training", plan.heap)):
            used, _, largest = found[moment]
            assert near(planned_heap.used, used - taken)
            assert planned_heap.largest <= largest
        assert learned_here(path, "weights", {}, tmp_path) == learned_there(board)


def test_the_verdict_holds(board, models):
    """The largest network that is said to fit trains; a little beyond, memory runs out."""
    found, _ = board_says(board, "brink", "priot", {})
    assert found["training"][1] > 0
    with pytest.raises(BoardRefused) as refused:
        board_says(board, "beyond", "priot", {})
    assert refused.value.kind == "MemoryError"

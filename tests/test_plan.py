"""`priot plan` against the device package and littlefs: bytes of arenas, files and flash."""

from pathlib import Path

import numpy as np
import pytest
from littlefs import LittleFS
from m0plus.build import link
from m0plus.machine import Machine
from plan_support import NETWORKS, device_says
from priot.errors import PriotError
from priot.formats import Adapter, Model
from priot.jobs.options import check_options
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.network.stages import Stage, compile_stages
from priot.paths import ROOT
from priot.planning import memory
from priot.planning.board import Limits, package_sizes, saved_bytes
from priot.planning.flash import flash_blocks
from priot.planning.memory import Training, adapter_bytes, network_bytes, training_bytes
from priot.planning.scratch import Use, kernel_name, needs_portable, scratch_words
from priot.planning.scratch_armv6m import can_update
from support import import_device, random_model

NATIVE = ROOT / "native"

CASES = [
    ("priot", {}), ("priot", {"keep": 80}), ("priot", {"layout": "small"}),
    ("priot", {"last": 1}), ("priot", {"last": 2, "layout": "small"}), ("priot-s", {}),
    ("priot-s", {"fraction": 25, "select": "random"}),
    ("priot-s", {"fraction": 15, "select": "layers", "layout": "small"}), ("gain", {}),
    ("gain", {"fraction": 10, "select": "layers"}), ("weights", {}),
    ("weights", {"fraction": 20}), ("weights", {"fraction": 20, "select": "random"}),
    ("niti", {}), ("head", {}), ("gain", {"rounding": "rhu"}), ("priot", {"fraction": 1}),
    ("weights", {"keep": 50}), ("niti", {"fraction": 10}), ("priot", {"keep": 97}),
    ("priot", {"last": 9}),
]


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def model_path(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "model.priot"
    spec, shape = NETWORKS[request.param]
    random_model(spec, shape, seed=1).write(path)
    return path


# ---- arenas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "viper", "plain"])
def test_arenas_to_the_byte(model_path, backend):
    """The network's and the trainer's arena, scratch and layout, as the unix port has them."""
    model = Model.read(model_path)
    network = network_bytes(model, backend, "x64")
    loaded, *answers = device_says(model_path, backend, [["train", *c, None] for c in CASES])
    assert (network.arena, network.scratch) == (loaded["arena"], loaded["scratch"])
    for (method, options), answer in zip(CASES, answers, strict=True):
        training = Training.from_options(method, options)
        if "refused" in answer:
            with pytest.raises(PriotError):
                training_bytes(network, training, "kept", "x64")
            continue
        trained = training_bytes(network, training, answer["layout"], "x64")
        found = [[s.stage.weight_index, s.scored, s.scores, s.select]
                 for s in trained.stages if s.trained]
        assert found == answer["layers"], (method, options)
        assert (trained.arena, trained.ram_bytes) == (answer["arena"], answer["ram_bytes"]), (
            method, options)
    assert sum("refused" in answer for answer in answers) >= 4


@pytest.fixture(scope="module")
def pico_kernels() -> Machine:
    """The Pico's native modules, less their glue to MicroPython, on the simulated Cortex-M0+."""
    sources = sorted(path for pattern in ("portable/*.c", "armv6m/*.c", "armv6m/*.S")
                     for path in NATIVE.glob(pattern))
    return Machine(link("plan", sources, (
        "-O2", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns", "-DPRIOT_FAST",
        f"-I{NATIVE}", f"-I{NATIVE / 'portable'}", f"-I{NATIVE / 'armv6m'}")))


def random_stages(rng: np.random.Generator) -> list[Stage]:
    """A conv2d stage, and a linear one, of any size that a Pico might see."""
    kernel = int(rng.choice([1, 2, 3, 3, 3, 5, 9]))
    pool, stride = rng.choice([1, 2, 2, 3, 4]), rng.choice([1, 1, 1, 2, 3])
    channels, height, width, filters = rng.integers([1, 15, 15, 2], [40, 40, 40, 40])
    spec = f"conv {filters} {kernel} stride {stride} pad {rng.integers(kernel)}"
    spec += f", maxpool {pool}" if pool > 1 else ""
    size = [int(n) for n in (channels, height, width)]
    layers = parse_network(spec + f", avgpool 2, flatten, linear {rng.integers(2, 9)}")
    try:
        return compile_stages(layers, (size[0], size[1], size[2]), layers[-1].n_out)
    except ValueError:  # a sum leaves int32, or pooling leaves nothing
        return random_stages(rng)


def test_scratch_and_kernels_of_the_pico(pico_kernels):
    """The same words, and the same choice of kernels, as the code for the Pico."""
    rng = np.random.default_rng(1)
    names = set()
    found = []
    for _ in range(150):
        for stage in random_stages(rng):
            pico_kernels.clear()
            kind = stage.kind if stage.weight_index >= 0 else 0
            choose_rule(rng, stage.d)
            d = pico_kernels.place(stage.d, writable=True)
            number = pico_kernels.call("fast_plan", kind, d)
            text = pico_kernels.fetch(pico_kernels.call("fast_plan_name", number), 60, np.uint8)
            names.add(kernel_name(stage, "native"))
            assert kernel_name(stage, "native") == bytes(text).split(b"\0")[0].decode()
            planned = pico_kernels.fetch(d, f.N_FIELDS, np.int32)
            for training in (0, 1, 2):
                found.append(compare_needs(pico_kernels, stage, training, kind, d, planned))
    assert len(names) > 5 and 100 < sum(found) < len(found) - 100


def choose_rule(rng: np.random.Generator, d: np.ndarray) -> None:
    """Write what training says to a descriptor: rule, rounding, selection, layout."""
    d[f.RULE], d[f.ROUNDING], d[f.SELECTION] = rng.integers(4), rng.integers(2), rng.integers(3)
    d[f.LOW_MEMORY] = rng.integers(4) == 0


def compare_needs(machine: Machine, stage: Stage, training: int, kind: int, address: int,
                  d: np.ndarray) -> bool:
    """Compare the scratch of a stage, and whether it needs portable kernels; returns that."""
    update = None
    if training and d[f.RULE] != f.FROZEN:
        update = can_update(*(int(d[i]) for i in (f.RULE, f.ROUNDING, f.SELECTION, f.N_ROW)))
    use = Use(training, update, low_memory=bool(d[f.LOW_MEMORY]))
    needs = bool(not d[f.PLAN_FORWARD] or (training == 1 and not d[f.PLAN_BACKWARD])
                 or (update is not None and not d[f.PLAN_UPDATE]))
    assert needs == needs_portable(stage, use, "native"), (stage, use)
    fast, portable = (machine.call(name, kind, training, address)
                      for name in ("fast_scratch_words", "scratch_words"))
    assert scratch_words(stage, use, "portable") == portable, (stage, use)
    assert scratch_words(stage, use, "native") == max(fast, portable * needs), (stage, use)
    return needs


def test_files_and_adapters_to_the_byte(model_path):
    """Sizes of what is saved, and the block that applying it takes, in both layouts."""
    model = Model.read(model_path)
    network = network_bytes(model, "viper")
    stems = [str(model_path.with_name(f"{i}")) for i in range(len(CASES))]
    answers = device_says(model_path, "viper", [
        ["train", *case, stem] for case, stem in zip(CASES, stems, strict=True)])[1:]
    files: list[Path] = []
    for (method, options), answer, stem in zip(CASES, answers, stems, strict=True):
        if "refused" in answer:
            continue
        training = Training.from_options(method, options)
        trained = training_bytes(network, training, answer["layout"])
        written = {name: Path(f"{stem}.{name}") for name in ("scores", "mask")
                   if Path(f"{stem}.{name}").exists()}
        sizes = {name: path.stat().st_size for name, path in written.items()}
        assert sizes == saved_bytes(trained), (method, options)
        files += written.values()
    applied = [[str(path), layout] for path in files for layout in ("kept", "small")]
    answers = device_says(model_path, "viper", [["apply", *how] for how in applied])[1:]
    assert len({answer["arena"] for answer in answers}) > 3
    for (path, layout), answer in zip(applied, answers, strict=True):
        assert adapter_bytes(network, Adapter.read(path), layout) == answer["arena"], path


def test_constants_are_the_devices():
    """What the trainer's layouts are decided by."""
    arena = import_device("arena")

    assert (arena._RESERVE, arena.ROW_BYTES) == (memory.RESERVE, memory.ROW_BYTES)


MISUSE = [
    ("priot", {"keep": 0}), ("priot", {"keep": 96}), ("priot", {"keep": 97}),
    ("gain", {"keep": 50}), ("weights", {"threshold": 0}), ("priot", {"threshold": -128}),
    ("priot", {"threshold": 127}), ("priot", {"threshold": 0, "keep": 50}),
    ("niti", {"fraction": 10}), ("head", {"fraction": 10}), ("priot", {"fraction": 0}),
    ("priot", {"fraction": 101}), ("priot", {"fraction": 100}), ("gain", {"select": "random"}),
    ("priot-s", {"select": "random"}), ("priot", {"last": 0}), ("priot", {"last": 4}),
    ("priot", {"last": 5}), ("priot", {"step": 31}), ("priot", {"step": -21}),
    ("priot", {"step": 5}), ("niti", {"step": 5}), ("weights", {"step": 0}),
    ("gain", {"step": 9}), ("head", {"step": 6}), ("priot-s", {"step": 11}),
    ("priot", {"gmin": 128}), ("priot", {"halve": -1}), ("gain", {"rounding": "rhu"}),
    ("priot", {"rounding": "rhu"}), ("priot", {"rounding": "up"}), ("priot", {"layout": "tiny"}),
    ("priot", {"select": "smallest"}),
]


@pytest.mark.parametrize("method, options", MISUSE)
def test_options_are_refused_as_on_the_device(method, options):
    """The same refusals and warnings, word for word."""
    methods = import_device("methods")

    keywords = {"step": None, "threshold": None, "keep": None, "fraction": None,
                "select": "largest", "last": None, "gmin": 2, "halve": 8, "rounding": None,
                "layout": "auto", **options}
    try:
        expected = methods.check_options(methods.find(method), 4, **keywords)
    except ValueError as error:
        with pytest.raises(PriotError) as refused:
            check_options(method, 4, options)
        assert str(refused.value) == str(error)
    else:
        assert check_options(method, 4, options) == expected


# ---- flash -------------------------------------------------------------------------------------


def littlefs_blocks(sizes: dict[str, int]) -> int:
    """Blocks in use when littlefs itself has written the files, with times as MicroPython does."""
    files = LittleFS(block_size=4096, block_count=352, prog_size=256, read_size=32,
                     cache_size=1024, lookahead_size=32, disk_version=0x20000)
    for path, size in sizes.items():
        files.makedirs(str(Path(path).parent), exist_ok=True)
        with files.open(path, "wb") as file:
            file.write(bytes(size))
        files.setattr(path, 1, bytes(8))
    return files.used_block_count


@pytest.mark.parametrize("size", [0, 1, 512, 513, 4096, 4097, 8188, 8189, 12276, 12277, 400_000])
def test_blocks_of_a_file(size):
    assert flash_blocks({"/a": size}).blocks == littlefs_blocks({"/a": size})


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_blocks_of_the_package(backend):
    """Exactly, but for a folder that littlefs will split sooner or later."""
    sizes = {**package_sizes(Limits(backend=backend)), "/model.priot": 27_672, "/a.prd": 803_872}
    assert flash_blocks(sizes).blocks - littlefs_blocks(sizes) in (0, 2)

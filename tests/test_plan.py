"""`priot plan` against the device package and littlefs: bytes of arenas, files and flash."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from littlefs import LittleFS
from support import import_device, micropython, random_dataset, random_model

from host_tools import fields as f
from host_tools.cli import main
from host_tools.errors import PriotError
from host_tools.formats import Adapter, Model
from host_tools.m0plus.build import link
from host_tools.m0plus.machine import Machine
from host_tools.network_spec import parse_network
from host_tools.paths import ROOT
from host_tools.planning import memory
from host_tools.planning.advice import choices, recommend
from host_tools.planning.board import Limits, package_sizes, plan_training, saved_bytes
from host_tools.planning.flash import flash_blocks
from host_tools.planning.memory import Training, adapter_bytes, network_bytes, training_bytes
from host_tools.planning.scratch import Use, kernel_name, needs_portable, scratch_words
from host_tools.planning.scratch_armv6m import can_update
from host_tools.stages import Stage, compile_stages
from host_tools.training_options import check_options

NATIVE = ROOT / "native"
ARENAS = Path(__file__).parent / "plan" / "arenas.py"

NETWORK_A = ("conv 8 3, relu, maxpool 2, conv 16 3, relu, maxpool 2, flatten, linear 64, relu, "
             "linear 10")
# name -> network, input shape
NETWORKS = {
    "a": (NETWORK_A, (1, 28, 28)),
    "padded": ("conv 5 3 pad 1, relu, conv 6 5 pad 2 stride 2, relu, maxpool 3 stride 2, flatten, "
               "linear 21, relu, linear 10", (3, 17, 15)),
    "pools": ("conv 6 5 pad 2, relu, avgpool 2, maxpool 3 stride 1, relu, conv 7 1, avgpool 2, "
              "flatten, linear 9, linear 10", (1, 12, 12)),
    "wide": ("conv 40 3 pad 1 stride 3, relu, conv 3 9 pad 8, relu, maxpool 5, flatten, linear 10",
             (2, 26, 31)),
    "perceptron": ("flatten, linear 33, relu, linear 10", (1, 8, 8)),
    "one": ("flatten, linear 10", (1, 3, 3)),
}
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


def device_says(path: Path, backend: str, cases: list) -> list:
    """The answers of tests/plan/arenas.py on the unix port."""
    cases_path = path.with_suffix(".json")
    cases_path.write_text(json.dumps(cases))
    result = micropython(ARENAS, str(path), backend, str(cases_path), backend=backend)
    return json.loads(result.stdout.splitlines()[-1])


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
    sources = sorted(path for pattern in ("*.c", "armv6m/*.c", "armv6m/*.S")
                     for path in NATIVE.glob(pattern) if path.stem not in ("module", "check"))
    return Machine(link("plan", sources, (
        "-O2", "-fno-jump-tables", "-fno-tree-loop-distribute-patterns", "-DPRIOT_FAST",
        f"-I{NATIVE}", f"-I{NATIVE / 'armv6m'}")))


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
    import_device()
    from priot import arena

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
    import_device()
    from priot import methods

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


# ---- the command -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network_a(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("network-a") / "a.priot"
    random_model(*NETWORKS["a"], seed=1).write(path)
    return path


def report_of(*arguments: object, status: int = 0) -> dict:
    """The JSON report of `priot plan`."""
    words = [str(a) for a in arguments]
    path = Path(words[0]).with_suffix(".plan.json")
    assert main(["plan", *words, "--json", str(path)]) == status
    return json.loads(path.read_text())


def test_it_fits(network_a, capsys, tmp_path):
    random_dataset(Model.read(network_a), 1000, 1).write(tmp_path / "train.prd")
    report = report_of(network_a, "--dataset", tmp_path / "train.prd", "--backend", "viper")
    printed = capsys.readouterr()
    assert report["fits"] and "fits: " in printed.out and not printed.err
    assert report["recommended"]["command"] == "--method priot"
    assert report["flash"]["used_bytes"] > 1000 * 785 + 27_672
    without = report_of(network_a, "--backend", "viper")
    # the order of 1,000 samples
    assert without["ram"]["free_heap_bytes"] - report["ram"]["free_heap_bytes"] == 2016
    assert sum(report["ram"][f"{name}_bytes"] for name in (
        "boot", "package", "kernels", "network_arena", "training_arena", "scratch", "other",
        "free_heap")) == report["ram"]["heap_bytes"]


def test_portable_kernels_are_a_lever(tmp_path, capsys):
    """Where the fast kernels leave too little: what is said to fit does, and no more is said."""
    path = tmp_path / "wide.priot"
    sizes = iter(range(150, 60, -2))
    lever = None
    while not lever:
        random_model(f"flatten, linear {next(sizes)}, relu, linear 10", (1, 28, 28),
                     seed=1).write(path)
        assert main(["plan", str(path), "--layout", "small"]) == 1, "fits before it was a lever"
        printed = capsys.readouterr().out
        lever = re.search(r"  (.*--backend portable) fits, ([\d,]+) bytes", printed)
    report = report_of(path, *lever.group(1).split())
    assert f"{report['ram']['free_heap_bytes']:,}" == lever.group(2)


def test_levers_make_it_fit(network_a, capsys):
    """A refusal names what is missing; every lever that is said to fit does."""
    asked = [network_a, "--backend", "viper", "--heap", 160_000]
    report = report_of(*asked, "--layout", "kept", status=1)
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "does not fit: training by priot lacks" in printed.err
    fitting = [c for c in report["choices"] if c["fits"]]
    assert fitting and any(not c["fits"] for c in report["choices"])
    for choice in fitting:
        again = report_of(*asked, *choice["command"].split())
        assert again["training_bytes"] == choice["training_bytes"]
        assert choice["command"] in printed.out
    assert report["recommended"]["command"] in {c["command"] for c in fitting}
    missing = report["ram"]["missing_bytes"]
    wider = report_of(*asked[:-1], 160_000 + missing, "--layout", "kept")
    assert wider["fits"]
    assert not report_of(*asked[:-1], 160_000 + missing - 32, "--layout", "kept",
                         status=1)["fits"]


def test_advice_follows_the_heap(network_a):
    """A score an edge where there is room, then weights in place, then less, then nothing."""
    model = Model.read(network_a)
    advised = []
    for heap in range(100_000, 246_144, 2_000):
        board = Limits(heap, backend="viper")
        advice = recommend(choices(model, Training(), board, {}))
        advised.append((advice.choice.training.method, advice.choice.plan.trained.layout)
                       if advice else None)
    assert list(dict.fromkeys(advised)) == [
        None, ("head", "kept"), ("weights", "kept"), ("priot", "small"), ("priot", "kept")]


def test_a_network_beyond_the_heap(tmp_path, capsys):
    model = tmp_path / "wide.priot"
    random_model("flatten, linear 300, relu, linear 10", (1, 30, 30), seed=1).write(model)
    report = report_of(model, "--backend", "viper", status=1)
    printed = capsys.readouterr()
    assert "loading the network lacks" in printed.err
    assert report["recommended"] is None and "a smaller network" in printed.out


def test_flash_is_refused(network_a, capsys, tmp_path):
    random_dataset(Model.read(network_a), 2000, 1).write(tmp_path / "train.prd")
    report_of(network_a, "--dataset", tmp_path / "train.prd", "--backend", "viper", status=1)
    assert "kB of flash" in capsys.readouterr().err


def test_few_weights_are_not_pruned(tmp_path):
    model = tmp_path / "small.priot"
    random_model(*NETWORKS["perceptron"], seed=1).write(model)
    assert report_of(model, "--backend", "viper")["recommended"]["command"] == "--method gain"


@pytest.mark.parametrize("options, text", [
    (["--method", "weights", "--keep", "80"], "keep: weights prunes nothing"),
    (["--keep", "97"], "keep: 97 %, expected 1..96"),
    (["--fraction", "0"], "fraction: 0, expected 1..100"),
    (["--method", "head", "--fraction", "10"], "fraction: head trains whole layers"),
    (["--last", "5"], "last: 5, expected 1..4"),
    (["--method", "gain", "--select", "layers"], "select: layers needs a fraction"),
    (["--heap", "1000"], "board: found 1000 bytes of heap"),
    (["--dataset", "none.prd"], "none.prd: no such file or directory"),
])
def test_refusals_in_one_line(network_a, capsys, options, text):
    assert main(["plan", str(network_a), "--backend", "viper", *options]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"priot: {text}") and printed.err.count("\n") == 1


def test_adapter(network_a, capsys, tmp_path):
    """Its block is added to the loaded network; those of other backbones are refused."""
    stem = str(network_a.with_name("learned"))
    device_says(network_a, "viper", [["train", "gain", {"fraction": 10}, stem]])
    adapter = Path(f"{stem}.scores")
    kept = report_of(network_a, "--backend", "viper", "--adapter", adapter)
    small = report_of(network_a, "--backend", "viper", "--adapter", adapter, "--layout", "small")
    assert kept["ram"]["adapter_arena_bytes"] > small["ram"]["adapter_arena_bytes"] > 2746
    assert kept["ram"]["training_arena_bytes"] == 0 and not kept["choices"]
    capsys.readouterr()
    other = tmp_path / "other.priot"
    random_model(*NETWORKS["a"], seed=2).write(other)
    assert main(["plan", str(other), "--adapter", str(adapter)]) == 1
    assert "backbone: found" in capsys.readouterr().err
    assert main(["plan", str(network_a), "--adapter", str(adapter), "--method", "gain"]) == 1
    assert "an adapter is applied" in capsys.readouterr().err


def test_layout_follows_the_heap(network_a):
    """`auto` keeps all effective weights while 49,152 bytes stay free beside them."""
    model = Model.read(network_a)
    layouts = [plan_training(model, Training(), Limits(heap, backend="viper"), {}).trained.layout
               for heap in range(120_000, 246_144, 4_000)]
    assert layouts == sorted(layouts, reverse=True) and set(layouts) == {"kept", "small"}

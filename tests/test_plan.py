"""`priot plan` against the device package and littlefs: bytes of blocks, files and flash."""

import math
import time
from pathlib import Path

import pytest
from littlefs import LittleFS
from plan_support import NETWORKS, device_says
from priot.cli import main
from priot.errors import PriotError
from priot.formats import Model
from priot.paths import BACKBONES
from priot.planning.board import Limits, package_sizes
from priot.planning.flash import flash_blocks
from priot.planning.sizes import Learned, Planner, Training, heap_for
from priot.targets.unix import UnixTarget
from support import random_model

CASES = [
    ("priot", {}), ("priot", {"keep": 80}), ("priot", {"layout": "small"}),
    ("priot", {"last": 1}), ("priot", {"last": 2, "layout": "small"}), ("priot-s", {}),
    ("priot-s", {"fraction": 25, "select": "random"}),
    ("priot-s", {"fraction": 15, "select": "layers", "layout": "small"}), ("gain", {}),
    ("gain", {"fraction": 10, "select": "layers"}), ("weights", {}),
    ("weights", {"fraction": 20}), ("weights", {"fraction": 20, "select": "random"}),
    ("niti", {}), ("head", {}), ("gain", {"rounding": "rhu"}), ("priot", {"fraction": 1}),
    ("weights", {"keep": 50}), ("niti", {"fraction": 10}), ("priot", {"keep": 97}),
    ("priot", {"last": 9}), ("bias", {}), ("bias", {"last": 2, "layout": "small"}),
]


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def model_path(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "model.priot"
    spec, shape = NETWORKS[request.param]
    random_model(spec, shape, seed=1).write(path)
    return path


def planner(path: Path, backend: str) -> Planner:
    """For kernels of this machine, which really run here."""
    return Planner(UnixTarget(heap_for(path)), path, backend, arch="")


def blocks_of(learned: Learned) -> list[int]:
    """Bytes of the blocks that are not empty."""
    return [n for n in (learned.learned_bytes, learned.work_bytes) if n]


# ---- blocks and files ------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_blocks_to_the_byte(model_path, backend):
    """What is planned is what is taken: the network's, a Trainer's and an adapter's blocks."""
    stems = [str(model_path.with_name(f"{backend}-{i}")) for i in range(len(CASES))]
    loaded, *answers = device_says(model_path, backend, [
        ["train", *case, stem] for case, stem in zip(CASES, stems, strict=True)])
    asked = planner(model_path, backend)
    network = asked.network()
    assert loaded["blocks"] == [network.weight_bytes, network.work_bytes]
    assert [stage["kernels"] for stage in network.stages] == loaded["plans"]
    trainings = [Training.of(method, **options) for method, options in CASES]
    files: list[tuple[Path, str]] = []
    for learned, answer, stem in zip(asked.trainings(trainings, 1 << 30), answers, stems,
                                     strict=True):
        if "refused" in answer:
            assert isinstance(learned, PriotError) and str(learned) == answer["refused"]
            continue
        assert answer["blocks"] == blocks_of(learned)
        assert (learned.ram_bytes, learned.layout) == (answer["ram_bytes"], answer["layout"])
        assert [[a.stage, a.scored, a.scores, a.select] for a in learned.layers] == (
            answer["layers"])
        for name, size in (("scores", learned.saved), ("mask", learned.mask)):
            path = Path(f"{stem}.{name}")
            assert path.exists() == bool(size)
            if size:
                assert path.stat().st_size == size
                files.append((path, "kept"))
                files.append((path, "small"))
    assert sum("refused" in answer for answer in answers) >= 4
    applied = device_says(model_path, backend, [["apply", str(path), how] for path, how in files])
    for (path, layout), answer in zip(files, applied[1:], strict=True):
        learned = asked.adapter(path, layout)
        assert answer["blocks"] == blocks_of(learned), (path, layout)


def test_evaluation_needs_less_than_training(model_path):
    """A network that is only evaluated holds no activation longer than it is read."""
    network = planner(model_path, "viper").network()
    image = math.prod(Model.read(model_path).shape)
    everything = image + sum(stage["outputs"] + stage["argmax"] for stage in network.stages)
    trained = planner(model_path, "viper").training(Training.of("weights"))
    assert network.work_bytes <= trained.work_bytes
    if len(network.stages) > 3:
        assert network.work_bytes < everything


def test_planning_is_quick(capsys):
    """All ways to train, asked of the device package, in less than three seconds of CPU."""
    start = time.process_time(), time.perf_counter()
    assert main(["plan", str(BACKBONES / "mnist-a-0.priot"), "--backend", "viper"]) == 0
    assert time.process_time() - start[0] < 3
    assert "recommended" in capsys.readouterr().out


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

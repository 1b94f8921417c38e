"""Memory by lifetimes: what lives at the same time never shares a byte, and little is wasted."""

import ast
import random
from pathlib import Path

import pytest
from priot.methods import METHODS
from priot.paths import BACKBONES
from support import import_device, micropython, random_dataset, random_model

SPEC = ("conv 4 3 pad 1, relu, maxpool 2, conv 6 3, relu, avgpool 2, flatten, linear 16, relu, "
        "linear 10")
SHAPE = (1, 12, 12)
SWEEP = Path(__file__).parent / "device" / "sweep.py"
LAYOUTS = import_device("methods").LAYOUTS


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[str, str]:
    """A model and a dataset for it."""
    return made(SPEC, tmp_path_factory.mktemp("layout"))


@pytest.fixture(scope="module")
def biased_files(tmp_path_factory) -> tuple[str, str]:
    """The same of a network with biases."""
    return made(SPEC.replace("linear 16", "linear 16 bias").replace("6 3", "6 3 bias"),
                tmp_path_factory.mktemp("biased"))


def made(spec: str, folder: Path) -> tuple[str, str]:
    model = random_model(spec, SHAPE, seed=2)
    model.write(folder / "model.priot")
    random_dataset(model, 20, seed=3).write(folder / "data.prd")
    return str(folder / "model.priot"), str(folder / "data.prd")


@pytest.mark.parametrize("seed", range(50))
def test_pieces_that_meet_lie_apart(seed):
    """Random pieces: aligned, apart where their lifetimes meet, no larger than all together."""
    draw = random.Random(seed)
    block = import_device("blocks").Block()
    for _ in range(draw.randrange(1, 40)):
        first = draw.randrange(12)
        block.want(draw.choice([0, 1, 3, 4, 17, 100, 1000]), first, first + draw.randrange(8))
    size = block.place()
    pieces = [piece for piece in block.pieces if piece[0]]
    for i, (n, first, last, offset) in enumerate(pieces):
        assert offset % 4 == 0 and offset + n <= size
        for m, other_first, other_last, other in pieces[:i]:
            if first <= other_last and other_first <= last:
                assert offset + n <= other or other + m <= offset
    at_once = max((sum((n + 3) & ~3 for n, first, last, _ in pieces if first <= t <= last)
                   for t in range(20)), default=0)
    assert at_once <= size <= sum((n + 3) & ~3 for n, *_ in pieces)


def test_pieces_in_turn_share_one_place():
    """A chain of equal tensors, each read once, takes two places."""
    block = import_device("blocks").Block()
    for i in range(10):
        block.want(100, i, i + 1)
    assert block.place() == 200
    assert [piece[3] for piece in block.pieces] == [0, 100] * 5


def test_views_are_those_of_one_block():
    """Views are of the sizes wanted, empty ones included, zeroed, and not copies."""
    block = import_device("blocks").Block()
    for n in (5, 0, 8):
        block.want(n)
    block.place()
    first, empty, last = block.take("test")
    assert (len(first), len(empty), len(last)) == (5, 0, 8) and not any(first) and not any(last)
    first[4] = 7
    assert first.obj is last.obj and 7 in first.obj


def test_rows_of_small_lie_where_nothing_else_lives():
    """As many at a time as fit between the other pieces: more only where that costs nothing."""
    priot = import_device()
    layout = import_device("layout")
    net = priot.load(BACKBONES / "mnist-a-0.priot")
    trainer = priot.Trainer(net, "priot", layout="small")
    stage = net.stages[2]
    assert 1 < len(stage.weff) // 400 == stage.d[import_device("fields").ROWS] < 64
    assert len(net.stages[3].weff) == 640  # all rows of the last layer at once
    sizes = []
    for most in (layout._ROW_BYTES, layout._MOST_ROW_BYTES):
        layout._MOST_ROW_BYTES, before = most, layout._MOST_ROW_BYTES
        sizes.append(layout.Layout(net, trainer.layers, 0, small=True).size)
        layout._MOST_ROW_BYTES = before
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_a_frozen_prefix_keeps_no_activations(files, last):
    """Memory to train the last layers grows with them, and is least where nothing is trained."""
    priot = import_device()
    net = priot.load(files[0])
    works = [net.work_bytes]
    for n in range(1, last + 1):
        priot.Trainer(net, "weights", last=n)
        works.append(net.work_bytes)
    assert works == sorted(works)
    net.reset()
    assert net.work_bytes == works[0] == net.idle_bytes


@pytest.mark.parametrize("method, layout", [
    pytest.param(method, layout, marks=[pytest.mark.long] * ((i + j) % 2 == 0))
    for i, method in enumerate(METHODS) for j, layout in enumerate(LAYOUTS[1:])])
def test_a_network_that_ran_out_of_memory_answers_right_or_not_at_all(request, tmp_path, method,
                                                                      layout):
    """Trainers, load, apply, reset and another network at every size of free heap, by 256 bytes.

    After every step each network answers as it says that it is, or refuses. The sweep goes from
    less than anything takes to where all succeeds.
    """
    files = request.getfixturevalue("biased_files" if method == "bias" else "files")
    said = micropython(SWEEP, *files, str(tmp_path / "a.scores"), method, layout,
                       backend="native", heap_bytes=192_000).stdout.splitlines()[-1]
    found = ast.literal_eval(said)
    assert not found["wrong"], said
    first, last = found["sizes"]
    assert last > first + 20_000 and found["unseen"] == 0, said
    assert found["skipped"] < 20, said  # of hundreds
    assert min(found[key] for key in ("right", "refused", "done", "failed")) > 200, said


FAILED_IMPORT = """
import sys
import priot

net = priot.load(sys.argv[1])
image = bytes(range(len(net.x) % 128)) + bytes(len(net.x) - len(net.x) % 128)
before = net.predict(image)
sys.modules["priot.blocks"] = sys  # as half of an import
try:
    priot.Trainer(net, "priot")
except ImportError:
    print(net.predict(image) == before, net.trainer)
"""


def test_what_failed_to_be_imported_is_forgotten_before_the_network_recovers(files):
    """Where memory runs out in an import MicroPython leaves a name that must not be used again."""
    assert micropython(FAILED_IMPORT, files[0]).stdout == "True None\n"


def test_who_allocates_as_many_bytes_gets_the_block_that_was_held():
    """Others do not, and what nobody takes is given back, but for what is still wanted."""
    memory = import_device("memory")
    memory.hold(100)
    memory.hold(60)
    first, second = memory._held
    assert memory.allocate(80, "test") not in (None, first, second)
    assert memory.allocate(60, "test") is second
    memory.hold(20)
    memory.let_go(100)
    assert memory._held == [first] and memory.allocate(100, "test") is first
    assert memory.allocate(20, "test") == bytearray(20) and memory._held == []
    memory.hold(7)
    memory.let_go()
    assert memory._held == []

"""Memory by lifetimes: what lives at the same time never shares a byte, and little is wasted."""

import random
from pathlib import Path

import pytest
from support import import_device, micropython, random_dataset, random_model

SPEC = ("conv 4 3 pad 1, relu, maxpool 2, conv 6 3, relu, avgpool 2, flatten, linear 16, relu, "
        "linear 10")
SHAPE = (1, 12, 12)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[str, str]:
    """A model and a dataset for it."""
    folder = tmp_path_factory.mktemp("layout")
    model = random_model(SPEC, SHAPE, seed=2)
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


SWEEP = """
import gc, sys
import priot
model, data, method, layout = sys.argv[1:5]
if hasattr(gc, "threshold"):
    gc.threshold(-1)
net = priot.load(model)
right = net.evaluate(data).confusion
outcomes = set()
for free in range(60000, 1024, -256):
    ballast = []
    gc.collect()
    try:
        while gc.mem_free() > free + 1100:
            ballast.append(bytearray(1024))
    except MemoryError:
        pass  # the rest lies in smaller pieces
    try:
        t = priot.Trainer(net, method, layout=layout)
        outcomes.add("trained")
        t = None
    except MemoryError:
        outcomes.add("refused")
    for again in range(2):
        try:
            if again:
                net.reset()
            found = net.evaluate(data).confusion
            if net.trainer is None:
                outcomes.add("right" if found == right else "WRONG at %d" % free)
        except (MemoryError, ValueError) as e:
            outcomes.add("says " + type(e).__name__)
    ballast = None
    gc.collect()
    net.reset()
    if net.evaluate(data).confusion != right:
        outcomes.add("WRONG after %d" % free)
print(sorted(outcomes))
"""


@pytest.mark.parametrize("method, layout", [
    ("priot", "kept"), ("priot", "small"), ("gain", "kept"), ("weights", "kept"), ("niti", "kept"),
    ("head", "kept")])
def test_a_network_that_ran_out_of_memory_answers_right_or_not_at_all(files, tmp_path, method,
                                                                      layout):
    """Whatever is free when a Trainer is made: the right answer or an error, never another."""
    script = Path(tmp_path) / "sweep.py"
    script.write_text(SWEEP)
    said = micropython(script, *files, method, layout, backend="native", heap_bytes=250_000)
    outcomes = said.stdout.splitlines()[-1]
    assert "WRONG" not in outcomes, outcomes
    assert "trained" in outcomes and "refused" in outcomes and "right" in outcomes, outcomes

"""The command `priot plan`: what fits, what is missing, what it advises."""

import json
import re
from pathlib import Path

import pytest
from plan_support import NETWORKS, device_says, least, perceptron
from priot.cli import main
from priot.formats import Model
from priot.planning.advice import choices, recommend
from priot.planning.board import Limits, Plan, most_samples, plan_trainings
from priot.planning.known import BOARDS
from priot.planning.sizes import Planner, Training, heap_for
from priot.targets.unix import UnixTarget
from support import random_dataset, random_model

IN_RAM = ("--weights-in", "ram")


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
        "boot", "package", "kernels", "weight", "learned", "work", "other",
        "free_heap")) == report["ram"]["heap_bytes"]


@pytest.mark.parametrize("board", BOARDS)
def test_boards_by_name(board, network_a, capsys):
    """Heap and flash of the board; what was not measured is said."""
    known = BOARDS[board]
    report = report_of(network_a, "--board", board, "--layout", "small", "--backend", "portable")
    said = capsys.readouterr().out
    assert report["ram"]["heap_bytes"] == known.heap_bytes
    assert report["flash"]["flash_bytes"] == 4096 * known.flash_blocks
    assert ("was not measured" in said) == board.endswith("-w")
    own = report_of(network_a, "--board", board, "--heap", 240_000, "--flash", 700, "--backend",
                    "portable")
    assert own["ram"]["heap_bytes"] == 240_000 and own["flash"]["flash_bytes"] == 700 * 1024
    assert "was not measured" not in capsys.readouterr().out


def test_a_board_is_named_or_asked(network_a, capsys):
    assert main(["plan", str(network_a), "--board", "pico", "--port", "/dev/ttyACM0"]) == 1
    assert "--port: asks a board what it is" in capsys.readouterr().err


def test_portable_kernels_are_a_lever(tmp_path, capsys):
    """Where the fast kernels leave too little: what is said to fit does, and no more is said."""
    path = tmp_path / "wide.priot"
    perceptron(least(tmp_path, 0, layout="small")).write(path)
    assert main(["plan", str(path), "--layout", "small", *IN_RAM]) == 1
    lever = re.search(r"  (.*--backend portable) fits, ([\d,]+) bytes", capsys.readouterr().out)
    assert lever
    report = report_of(path, *lever.group(1).split(), *IN_RAM)
    assert f"{report['ram']['free_heap_bytes']:,}" == lever.group(2)


def test_levers_make_it_fit(network_a, capsys):
    """A refusal names what is missing; every lever that is said to fit does."""
    asked = [network_a, *IN_RAM, "--backend", "viper", "--heap", 160_000]
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
    """A score an edge where there is room, then weights in place, then the last, then nothing."""
    planner = Planner(UnixTarget(heap_for(network_a)), network_a, "viper", flash=False)
    advised = []
    for heap in (100_000, 120_000, *range(130_000, 148_000, 3_000), 160_000, 180_000, 240_000):
        board = Limits(heap, backend="viper")
        advice = recommend(choices(planner, Training.of(), 4, board, {}))
        advised.append((advice.choice.training.command(), advice.choice.plan.learned.layout)
                       if advice else None)
    assert list(dict.fromkeys(advised)) == [
        None, ("--method weights --last 2", "kept"), ("--method weights", "kept"),
        ("--method priot", "small"), ("--method priot", "kept")]


def test_a_network_beyond_the_heap(tmp_path, capsys):
    model = tmp_path / "wide.priot"
    random_model("flatten, linear 300, relu, linear 10", (1, 30, 30), seed=1).write(model)
    report = report_of(model, *IN_RAM, "--backend", "viper", status=1)
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


MADE_OF = {  # network, input shape, whether that is signed, method, a word of the reason
    "deep": ("conv 16 3 pad 1 bias, relu, " * 9 + "globalpool, linear 10 bias", (1, 8, 8), False,
             "weights16", "at once"),
    "residual": ("conv 16 3 pad 1 bias, relu as x, conv 16 3 pad 1 bias, add x, relu, "
                 + "conv 16 3 pad 1 bias, relu, " * 7 + "globalpool, linear 10 bias", (1, 8, 8),
                 True, "weights16", "at once"),
    "depthwise": ("conv 8 3 bias, relu, dw 3 bias, relu, conv 9 1 bias, relu, globalpool, "
                  "linear 10 bias", (1, 16, 16), False, "gain", "depthwise"),
    "sensor": ("conv 8 1x5 bias, relu, conv 8 1x3 bias, relu, globalpool, linear 10 bias",
               (6, 1, 48), True, "bias", "offset"),
    "features": ("linear 16 bias, relu, linear 10 bias", (48, 1, 1), True, "gain", "few"),
    "picture": ("conv 8 3 bias, relu, maxpool 4, flatten, linear 64 bias, relu, linear 10 bias",
                (1, 26, 26), False, "priot", "stays"),
}


@pytest.mark.parametrize("name", MADE_OF)
def test_advice_follows_what_the_network_is_made_of(name, tmp_path, capsys):
    """The method that suits its layers and its input; others say where they do badly."""
    spec, shape, signed, method, word = MADE_OF[name]
    model = random_model(spec, shape, seed=1)
    model.signed = signed
    model.write(tmp_path / "net.priot")
    report = report_of(tmp_path / "net.priot", "--backend", "viper")
    assert report["recommended"]["command"] == f"--method {method}"
    assert word in report["recommended"]["reason"]
    said = capsys.readouterr().out
    assert ("warning: priot does badly on small networks" in said) == (name == "depthwise")
    taken = {c["command"]: c["training_bytes"] for c in report["choices"]}
    assert taken["--method bias"] <= taken["--method weights"]


@pytest.mark.parametrize("name, options, word", [
    ("residual", ["--method", "weights"], "weights does badly on deep networks with branches"),
    ("residual", ["--method", "weights", "--last", "4"], ""),
    ("residual", ["--method", "head"], ""),
    ("residual", ["--method", "weights16"], ""),
    ("residual", ["--method", "bias"], "little of pictures; weights16 does"),
    ("deep", ["--method", "weights"], ""),
    ("deep", ["--method", "bias"], "little of pictures; weights16 does"),
    ("sensor", ["--method", "bias"], ""),
])
def test_a_deep_network_says_what_does_badly(name, options, word, tmp_path, capsys):
    """Where METHODS.md found it; and what is warned of is not what is advised."""
    spec, shape, signed, *_ = MADE_OF[name]
    model = random_model(spec, shape, seed=1)
    model.signed = signed
    model.write(tmp_path / "net.priot")
    report_of(tmp_path / "net.priot", "--backend", "viper", *options)
    said = capsys.readouterr().out
    warnings = [line for line in said.splitlines() if "warning:" in line]
    assert len(warnings) == bool(word) and all(word in line for line in warnings)
    if warnings:
        advice = said[said.index("recommended:"):]
        assert options[1] + "\n" not in advice + "\n"


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


def test_a_board_is_not_troubled_with_what_cannot_train(network_a, capsys, tmp_path):
    """The device package refuses here, before a port is opened."""
    random_dataset(Model.read(network_a), 4, 1).write(tmp_path / "train.prd")
    command = ["train", str(network_a), str(tmp_path / "train.prd"), "--port", "/dev/none"]
    assert main([*command, "--keep", "97"]) == 1
    assert capsys.readouterr().err.startswith("priot: keep: 97 %, expected 1..96")
    assert main([*command, "--keep", "90"]) == 1
    assert "/dev/none" in capsys.readouterr().err


def test_adapter(network_a, capsys, tmp_path):
    """Its block is added to the loaded network; those of other backbones are refused."""
    stem = str(network_a.with_name("learned"))
    device_says(network_a, "viper", [["train", "gain", {"fraction": 10}, stem]])
    adapter = Path(f"{stem}.scores")
    kept = report_of(network_a, "--backend", "viper", "--adapter", adapter)
    small = report_of(network_a, "--backend", "viper", "--adapter", adapter, "--layout", "small")
    assert kept["ram"]["learned_bytes"] > small["ram"]["learned_bytes"] > 2746
    assert "method" not in kept and not kept["choices"]
    capsys.readouterr()
    other = tmp_path / "other.priot"
    random_model(*NETWORKS["a"], seed=2).write(other)
    assert main(["plan", str(other), "--adapter", str(adapter)]) == 1
    assert "backbone: found" in capsys.readouterr().err
    assert main(["plan", str(network_a), "--adapter", str(adapter), "--method", "gain"]) == 1
    assert "an adapter is applied" in capsys.readouterr().err


def test_layout_follows_the_heap(network_a):
    """`auto` keeps all effective weights while 49,152 bytes stay free beside them."""
    planner = Planner(UnixTarget(heap_for(network_a)), network_a, "viper")
    plans = [plan_trainings(planner, [Training.of()], Limits(heap, backend="viper"), {})[0]
             for heap in range(120_000, 246_144, 8_000)]
    layouts = [plan.learned.layout for plan in plans if isinstance(plan, Plan)]
    assert layouts == sorted(layouts, reverse=True) and set(layouts) == {"kept", "small"}


def test_the_largest_dataset_counts_wherever_it_stands(tmp_path):
    model = random_model("flatten, linear 10", (1, 4, 4), 1)
    paths = [tmp_path / f"{n}.prd" for n in (30, 50, 20)]
    for path in paths:
        random_dataset(model, int(path.stem), 2).write(path)
    assert most_samples(paths, model) == 50

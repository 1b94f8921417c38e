"""Methods on the device: adapters are switched and taken back exactly, misuse is refused."""

import json
import sys
import types
import zlib
from pathlib import Path

import pytest
from priot.backbone.quantize import calibrate
from priot.formats import Adapter, Dataset, Model
from priot.methods import METHODS, OPTIONS
from priot.oracle.adapted import logits
from support import import_device, micropython, random_dataset, random_model

SCRIPTS = Path(__file__).parent / "methods"
SPEC = ("conv 4 3 pad 1, relu, maxpool 2, conv 6 3, relu, flatten, linear 16, relu, linear 10")
SHAPE = (1, 12, 12)

BIASED = ("conv 4 3 pad 1 bias, relu as x, conv 4 3 pad 1 bias, add x, relu, dw 3 bias, relu6, "
          "maxpool 2, flatten, linear 16, relu, linear 10 bias")
BIASED_CASES = [("bias", {}), ("bias", {"last": 3}), ("bias", {"layout": "small", "step": 10}),
                ("priot", {}), ("priot-s", {"fraction": 40}), ("gain", {}), ("weights", {})]

CASES = [
    ("priot", {}), ("priot", {"keep": 70}), ("priot", {"last": 2, "threshold": 20}),
    ("priot-s", {"fraction": 30}), ("priot-s", {"fraction": 20, "select": "random", "keep": 60}),
    ("priot-s", {"fraction": 15, "select": "layers"}), ("gain", {}),
    ("gain", {"fraction": 20, "select": "layers"}), ("gain", {"fraction": 30, "select": "random"}),
    ("weights", {}), ("weights", {"fraction": 20, "select": "layers"}), ("weights", {"last": 1}),
    ("niti", {}), ("head", {}),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """A model and a dataset for it."""
    return made(SPEC, tmp_path_factory.mktemp("methods"))


@pytest.fixture(scope="module")
def biased_files(tmp_path_factory) -> tuple[Path, Path]:
    """The same of a network with biases, a branch and a depthwise layer."""
    return made(BIASED, tmp_path_factory.mktemp("biased"))


def made(spec: str, folder: Path) -> tuple[Path, Path]:
    model = random_model(spec, SHAPE, seed=12)
    data = random_dataset(model, 40, seed=4)
    assert set(data.labels) == set(range(10)), "some method would be idle"
    calibrate(model, data)  # else some methods end with all logits 0, and look alike
    model.write(folder / "model.priot")
    data.write(folder / "data.prd")
    return folder / "model.priot", folder / "data.prd"


def run_adapters(files: tuple[Path, Path], cases: list, folder: Path, backend: str) -> dict:
    (folder / "made").mkdir()
    (folder / "cases").write_text(json.dumps(cases))
    result = micropython(SCRIPTS / "adapters.py", *map(str, files), str(folder / "made"), backend,
                         str(folder / "cases"), backend=backend)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("biased", [False, True], ids=["plain", "biased"])
@pytest.mark.parametrize("backend", ["native", "viper"])
def test_adapters_are_switched_and_taken_back(request, biased, backend, tmp_path):
    """Applied to a fresh network, what was saved answers as its trainer did, in both layouts."""
    files = request.getfixturevalue("biased_files" if biased else "files")
    cases = BIASED_CASES if biased else CASES
    found = run_adapters(files, cases, tmp_path, backend)
    loaded, images = Model.read(files[0]), Dataset.read(files[1]).images
    assert zlib.crc32(logits(loaded, images).tobytes()) == found["backbone"]
    looks = set()
    for (method, options), run in zip(cases, found["runs"], strict=True):
        where = f"{method} {options}"
        assert run["before"] == found["backbone"]
        assert run["trained"] != run["before"], where
        assert run["loaded"] == run["trained"], where
        assert run["reset"] == run["before"], where
        for layout in ("kept", "small"):
            assert run[layout] == [run["trained"]] * len(run["files"]), f"{where} {layout}"
        assert run["after reset"] == [found["backbone"], True], where
        looks.add(run["trained"])
        for path, size in zip(run["files"], run["bytes"], strict=True):
            adapter = Adapter.read(path)
            adapter.check_backbone(loaded)
            assert adapter.method == method and Path(path).stat().st_size == size
            on_host = zlib.crc32(logits(loaded, images, adapter).tobytes())
            assert on_host == run["trained"], f"{where} {adapter.content}"
    assert len(looks) == len(cases), "two methods learned the same: the cases tell nothing"


def test_a_mask_is_one_bit_an_edge(files, tmp_path):
    run_adapters(files, CASES[:1], tmp_path, "viper")
    weights = [layer.weights.size for layer in Model.read(files[0]).weight_stages]
    size = (tmp_path / "made" / "0.adapter").stat().st_size
    assert size == 48 + 16 * len(weights) + sum(-(-n // 32) * 4 for n in weights)


REFUSED = [
    ({"method": "prune"}, "method: prune is none of bias, gain, head, niti, priot, priot-s, "
                          "weights"),
    ({"method": "bias"}, "method: bias trains biases, which this network has none of"),
    ({"method": "bias", "fraction": 10}, "fraction: bias trains whole layers"),
    ({"method": "bias", "rounding": "rhu"}, "rounding: bias has psr only"),
    ({"method": "bias", "keep": 50}, "keep: bias prunes nothing"),
    ({"fraction": 0}, "fraction: 0, expected 1..100"),
    ({"fraction": 101}, "fraction: 101, expected 1..100"),
    ({"fraction": 0.1}, "fraction: 0.1, expected 1..100"),
    ({"fraction": -5, "method": "gain"}, "fraction: -5, expected 1..100"),
    ({"fraction": 10, "method": "niti"}, "fraction: niti trains whole layers"),
    ({"fraction": 10, "method": "head"}, "fraction: head trains whole layers"),
    ({"keep": 97}, "keep: 97 %, expected 1..96: at 97 % the scores that must fall below the k-th "
                   "are clamped at 127 and nothing trains"),
    ({"keep": 100}, "keep: 100 %, expected 1..96: "),
    ({"keep": 0}, "keep: 0, expected 1..96"),
    ({"keep": 80, "method": "gain"}, "keep: gain prunes nothing"),
    ({"keep": 80, "threshold": 0}, "threshold: top-k finds its own, give keep or threshold"),
    ({"threshold": 0, "method": "weights"}, "threshold: weights prunes nothing"),
    ({"threshold": 128}, "threshold: 128, expected -127..127"),
    ({"threshold": -128}, "threshold: -128, expected -127..127"),
    ({"select": "smallest"}, "select: smallest is none of largest, random, layers"),
    ({"select": "random", "method": "gain"}, "select: random needs a fraction"),
    ({"last": 0}, "last: 0, expected 1..4"),
    ({"last": 5}, "last: 5, expected 1..4"),
    ({"last": 2, "method": "head"}, "last: head trains the last layer"),
    ({"step": 31}, "step: 31, expected -20..30"),
    ({"rounding": "floor"}, "rounding: floor is none of rhu, psr"),
    ({"layout": "large"}, "layout: large is none of auto, kept, small"),
    ({"gmin": -1}, "gmin: -1, expected 0..127"),
    ({"gmin": 128}, "gmin: 128, expected 0..127"),
    ({"halve": -1}, "halve: -1, expected 0..65535"),
]
WARNED = [
    ({"step": 3}, "step 3 is outside the useful range 6..10 of priot"),
    ({"step": 11}, "step 11 is outside the useful range 6..10 of priot"),
    ({"step": 7, "method": "weights"}, "step 7 is outside the useful range 0..5 of weights"),
    ({"step": 9, "method": "gain"}, "step 9 is outside the useful range 6..8 of gain"),
    ({"rounding": "rhu", "method": "weights"},
     "rounding rhu: weights may look healthy for ten epochs and then collapse; psr does not"),
]
ACCEPTED = [
    {"fraction": 1, "method": "gain"}, {"fraction": 100}, {"keep": 96}, {"keep": 1},
    {"step": 8}, {"threshold": -127}, {"threshold": 127}, {"last": 4}, {"gmin": 0}, {"halve": 0},
]


@pytest.fixture(scope="module")
def attempts(files, tmp_path_factory) -> tuple[dict[str, list[str]], list[str]]:
    """name -> [outcome, text] of everything that misuse.py tries, and all that it printed."""
    model = files[0]
    folder = tmp_path_factory.mktemp("misuse")
    other = random_model(SPEC, SHAPE, seed=13)
    other.write(folder / "other.priot")
    for name, path in (("gain", model), ("other", folder / "other.priot")):
        micropython(f"import priot\npriot.Trainer(priot.load({str(path)!r}), 'gain')"
                    f".save({str(folder / name)!r})")
    options = [*(o for o, _ in REFUSED), *(o for o, _ in WARNED), *ACCEPTED]
    (folder / "options").write_text(json.dumps(options))
    result = micropython(SCRIPTS / "misuse.py", str(model),
                         *(str(folder / name) for name in ("other", "gain", "options")))
    lines = result.stdout.splitlines()
    parsed = {name: rest for name, *rest in map(json.loads, [
        line for line in lines if line.startswith("[")])}
    named = {json.dumps(o): parsed[str(i)] for i, o in enumerate(options)}
    return parsed | named, lines


@pytest.mark.parametrize("options, reason", REFUSED)
def test_misuse_is_refused_with_a_reason(attempts, options, reason):
    kind, text = attempts[0][json.dumps(options)]
    assert kind == "ValueError"
    assert text.startswith(reason)


@pytest.mark.parametrize("options, reason", WARNED)
def test_doubtful_use_is_warned_about(attempts, options, reason):
    assert attempts[0][json.dumps(options)] == ["accepted", ""]
    assert f"warning: {reason}" in attempts[1]


def test_good_use_is_accepted_in_silence(attempts):
    for options in ACCEPTED:
        assert attempts[0][json.dumps(options)] == ["accepted", ""], options
    assert sum(line.startswith("warning: ") for line in attempts[1]) == len(WARNED)


@pytest.mark.parametrize("name, reason", [
    ("label", "label: 10, expected 0..9"),
    ("small image", "image: 3 bytes, expected 144"),
    ("bright image", "image: pixel 200, expected 0..127"),
    ("mask of gain", "mask: gain prunes nothing; save() writes what it learned"),
    ("mask of nothing", "mask: nothing was trained on this network"),
])
def test_bad_samples_and_masks_are_refused(attempts, name, reason):
    assert attempts[0][name] == ["ValueError", reason]


@pytest.mark.parametrize("name, reason", [
    ("apply other", "other: backbone is "), ("load other", "other: backbone is "),
    ("load gain", "gain: method is gain, expected priot"),
    ("load fraction", "gain: trains 36 edges of layer 0, this trainer 18 of layer 0; give the"),
    ("load last", "gain: number of layers is 4, expected 1"),
])
def test_adapters_of_others_are_refused(attempts, name, reason):
    kind, text = attempts[0][name]
    assert kind == "ValueError"
    assert text.split("/")[-1].startswith(reason) or reason in text


def test_missing_adapter_and_the_right_one(attempts):
    assert attempts[0]["apply none"][0] == "OSError"
    assert attempts[0]["load gain again"] == ["accepted", ""]


def test_the_tables_make_sense(attempts):
    """Methods and options that every side reads: numbers, steps and defaults go together."""
    assert [m.number for m in METHODS.values()] == list(range(1, len(METHODS) + 1))
    for method in METHODS.values():
        assert method.useful[0] <= method.step <= method.useful[1]
        assert not (method.fraction and (method.dynamic or method.last))
    tried = {name for options, _ in REFUSED for name in options} - {"method"}
    assert tried == set(OPTIONS) - {"seed"}, "an option whose refusals nobody tries"


@pytest.mark.parametrize("method", ["priot", "niti", "weights"])
@pytest.mark.parametrize("error", [MemoryError, ImportError, KeyboardInterrupt])
def test_a_trainer_that_is_not_made_leaves_the_network_as_it_was(files, monkeypatch, method,
                                                                 error):
    """Its scratch cannot be had, twice, or the kernels of a layer, or Ctrl-C: then all is well."""
    priot = import_device()
    net = priot.load(str(files[0]))
    before = net.evaluate(str(files[1])).confusion
    prepare = net.prepare
    calls = []
    failures = 2 if error is MemoryError else 1  # after which it is tried in another order

    def fails_first(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) <= failures:
            raise error("none")
        return prepare(*arguments, **keywords)

    monkeypatch.setattr(net, "prepare", fails_first)
    with pytest.raises(error):
        priot.Trainer(net, method)
    assert len(calls) == failures + 1 and net.trainer is None
    assert net.evaluate(str(files[1])).confusion == before


@pytest.mark.parametrize("method", ["priot", "priot-s"])
def test_a_trainer_made_at_the_second_attempt_is_that_of_the_first(files, monkeypatch, method):
    """What the first one drew at random until memory ran out is drawn again."""
    priot = import_device()
    net = priot.load(str(files[0]))
    options = {"select": "random"} if method == "priot-s" else {}
    wanted = [bytes(layer.scores) for layer in priot.Trainer(net, method, **options).layers]
    init, failed = priot.Trainer._init_scores, []

    def fails_first(self):
        init(self)
        if not failed:
            failed.append(self)
            raise MemoryError("none")

    monkeypatch.setattr(priot.Trainer, "_init_scores", fails_first)
    trainer = priot.Trainer(net, method, **options)
    assert failed and [bytes(layer.scores) for layer in trainer.layers] == wanted


def test_modules_of_another_version_are_named(monkeypatch):
    """priot_native.mpy of before or after this package: one line, not a TypeError later."""
    backend = import_device("backend")
    module = types.ModuleType("priot_native")
    monkeypatch.setitem(sys.modules, "priot_native", module)
    with pytest.raises(ValueError, match="priot_native.mpy: is of another version of priot"):
        backend.use("native")
    module.contract = backend.CONTRACT
    assert backend.use("native") == "native" and backend.kernels is module
    assert backend.use("viper") == "viper"


def test_a_board_without_kernels_is_told_what_to_do(monkeypatch):
    """No native module, and viper neither packaged nor taken by this port: one line."""
    backend = import_device("backend")
    for name in ("priot_native", "priot_portable", "device_priot.kernels_viper"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(sys.modules["device_priot"], "kernels_viper", raising=False)
    with pytest.raises(ImportError, match="^backend: no kernels run here; install the packaged"):
        backend.use()
    with pytest.raises(ImportError, match="^backend: viper does not run here; install the pack"):
        backend.use("viper")


def test_what_suits_a_network_with_biases(biased_files, capsys):
    """Depthwise layers are not pruned; methods that do badly are warned of."""
    priot = import_device()
    net = priot.load(str(biased_files[0]))
    pruned = priot.Trainer(net)
    assert [layer.stage.index for layer in pruned.layers] == [0, 1, 3, 4]
    assert "warning: priot does badly on small networks with depthwise" in capsys.readouterr().out
    before = net.evaluate(str(biased_files[1])).confusion
    trainer = priot.Trainer(net, "bias")
    said = capsys.readouterr().out
    assert "warning: bias learns offsets and gains of sensors" in said
    assert [layer.n_params for layer in trainer.layers] == [4, 4, 4, 10]
    assert net.evaluate(str(biased_files[1])).confusion == before
    with pytest.raises(ValueError, match="^last: bias has nothing to train in the last 2 layers"):
        net.weight_stages()[4].bits_bias = 0
        priot.Trainer(net, "bias", last=2)
    capsys.readouterr()
    priot.Trainer(net, "gain")
    assert not capsys.readouterr().out


TWICE = """
import priot
net = priot.load(%r)
t = priot.Trainer(net)
old = t
t = priot.Trainer(net)
print(old.layout, t.layout)
del old
for use in (lambda: t.fit([], epochs=0), lambda: (net.reset(), t.fit([]))):
    try:
        print(use())
    except ValueError as e:
        print(e)
"""


def test_a_second_trainer_beside_the_first(tmp_path):
    """Where two of network A do not fit with kept weights, the second says so."""
    spec = ("conv 8 3, relu, maxpool 2, conv 16 3, relu, maxpool 2, flatten, linear 64, relu, "
            "linear 10")
    random_model(spec, (1, 28, 28), seed=1).write(tmp_path / "a.priot")
    said = micropython(TWICE % str(tmp_path / "a.priot"), backend="native",
                       heap_bytes=284_000).stdout.splitlines()
    assert said == [
        "warning: layout small, which is slower; del the trainer before this one first",
        "kept small", "[]",
        "trainer: the network was reset, or has another one; make a new one"]

"""`priot import`: a file of another tool becomes a model that computes and trains on a device."""

import json

import numpy as np
import onnx
import pytest
from import_support import Net, logits, relative_error
from priot import cli
from priot.backbone.equalize import equalize
from priot.backbone.quantize import outputs
from priot.formats import Dataset, Model
from priot.importer.read import import_file
from priot.jobs.evaluate import evaluate
from priot.jobs.train import TrainJob, train
from priot.targets.unix import UnixTarget

CLASSES = 5


def residual() -> Net:
    """A stem, a block with its shortcut, depthwise layers with ReLU6, a global pool."""
    net = Net(2, 9, 8, seed=3)
    net.conv(6, 2, 3, 3, pads=[1, 1, 1, 1])
    net.batch_norm(6)
    first = net.op("Relu")
    net.conv(6, 6, 3, 3, pads=[1, 1, 1, 1])
    net.op("Relu")
    net.conv(6, 6, 3, 3, pads=[1, 1, 1, 1])
    net.op("Add", first, net.last)
    net.op("Relu")
    net.conv(6, 1, 3, 3, group=6, strides=[2, 2], pads=[0, 0, 1, 1])
    net.op("Clip", net.last, net.constant(0.0), net.constant(6.0))
    net.conv(8, 6, 1, 1)
    net.op("Relu")
    net.op("GlobalAveragePool")
    net.op("Flatten")
    net.linear(CLASSES, 8)
    return net


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The network, and samples of which its own answers are the labels."""
    folder = tmp_path_factory.mktemp("import")
    net = residual()
    onnx.save(net.model(), folder / "net.onnx")
    graph, _ = import_file(folder / "net.onnx")
    samples = net.samples(300).astype(np.float32)
    labels = logits(graph, samples).argmax(axis=1)
    for name, some in (("train", slice(0, 200)), ("test", slice(200, 300))):
        np.savez(folder / f"{name}.npz", x=samples[some], y=labels[some])
    return folder


def run(*words: object) -> None:
    """A command that succeeds."""
    assert cli.main([str(word) for word in words]) == 0


def test_from_onnx_to_the_device(files, capsys):
    """The report, the same classes as in float, and on the device as in numpy."""
    model, data = files / "net.priot", files / "test.prd"
    run("import", files / "net.onnx", "--calibrate", files / "train.npz", "-o", model, "--names",
        "a,b,c,d,e", "--force", "--json", files / "import.json")
    said = capsys.readouterr()
    assert "add of stages" in said.out and "the same class as the float network" in said.out
    report = json.loads((files / "import.json").read_text())
    assert report["fidelity"]["same"] >= 0.9 * report["fidelity"]["images"]
    run("dataset", files / "test.npz", "--for", model, "-o", data)
    loaded, dataset = Model.read(model), Dataset.read(data)
    assert loaded.names == tuple("abcde") and loaded.signed and dataset.signed
    top = outputs(loaded, dataset.images)[-2].reshape(len(dataset), -1).argmax(axis=1)
    found = evaluate(model, data, UnixTarget())
    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (dataset.labels, top), 1)
    assert found["confusion"] == confusion.tolist()
    trained = train(TrainJob(model, data, data, "gain", 1, {"step": 1}), UnixTarget())
    assert trained["backward_passes"] > 0


def test_equalised_channels_compute_the_same(files):
    """Also where the ranges of the channels are far apart, as behind bad batch norms."""
    graph, _ = import_file(files / "net.onnx")
    rng = np.random.default_rng(1)
    scale = (2.0 ** rng.normal(0, 2, 8)).astype(np.float32)
    pointwise, last = graph.stages[-3], graph.stages[-1]
    pointwise.weights = pointwise.weights * scale[:, None, None, None]
    pointwise.bias = pointwise.bias * scale
    last.weights = last.weights / scale
    samples = np.load(files / "train.npz")["x"][:50]
    balanced = equalize(graph)
    assert relative_error(logits(balanced, samples), logits(graph, samples)) < 1e-5

    def largest_over_least(stage):
        sizes = np.abs(stage.weights.reshape(stage.n_out, -1)).max(axis=1)
        return sizes.max() / sizes.min()

    assert largest_over_least(balanced.stages[-3]) < largest_over_least(graph.stages[-3]) / 2


def test_samples_beyond_the_models_range_are_refused(files, capsys):
    model = files / "net.priot"
    data = np.load(files / "test.npz")
    np.savez(files / "large.npz", x=data["x"] * 9, y=data["y"])
    assert cli.main(["dataset", str(files / "large.npz"), "--for", str(model), "-o",
                     str(files / "large.prd")]) == 1
    assert "the model takes" in capsys.readouterr().err
    assert not (files / "large.prd").exists()


@pytest.fixture(scope="module")
def with_golden(files):
    """A model with twelve golden samples beside it."""
    model = files / "golden.priot"
    run("import", files / "net.onnx", "--calibrate", files / "train.npz", "-o", model, "--golden",
        12, "--force")
    return model


@pytest.mark.parametrize("where", [["--backend", "native"], ["--backend", "viper"],
                                   ["--target", "qemu"]], ids=" ".join)
def test_golden_outputs_are_the_same_anywhere(with_golden, where, capsys):
    run("evaluate", with_golden, "--golden", *where)
    said = capsys.readouterr().out
    assert said.startswith("golden: all 60 logits of 12 samples are equal ("), said


def test_golden_outputs_that_differ_are_named(with_golden, tmp_path, capsys):
    """One wrong number in the file: which sample and output; status 1. Other faults: one line."""
    model, golden = tmp_path / "net.priot", tmp_path / "net.golden.npz"
    model.write_bytes(with_golden.read_bytes())

    def refused(*words: object) -> str:
        assert cli.main(["evaluate", str(model), "--golden", *map(str, words)]) == 1
        return capsys.readouterr().err

    assert "net.golden.npz: no such file; 'priot import --golden N' writes it" in refused()
    arrays = dict(np.load(with_golden.with_suffix(".golden.npz")))
    right = int(arrays["logits"][7, 3])
    arrays["logits"][7, 3] += 1 if right < 127 else -1
    np.savez(golden, **arrays)
    lines = refused("--json", tmp_path / "out.json").splitlines()
    assert "1 of 60 logits, of 1 of 12 samples, differ (unix, native kernels)" in lines[0]
    assert lines[1].strip() == f"sample 7, output 3: {right}, expected {arrays['logits'][7, 3]}"
    assert json.loads((tmp_path / "out.json").read_text())["differences"] == [
        {"sample": 7, "output": 3, "found": right, "expected": int(arrays["logits"][7, 3])}]
    assert "golden outputs are those of the model alone" in refused("--adapter", golden)
    np.savez(golden, **{**arrays, "crc32": np.uint32(1)})
    assert "is of another model than this one" in refused()
    np.savez(golden, **{**arrays, "logits": arrays["logits"][:5]})
    assert "logits: found int8 [5, 5], expected int8 [12, 5]" in refused()
    np.savez(golden, x=right)
    assert "not a golden file" in refused()
    assert cli.main(["evaluate", str(model)]) == 1
    assert "test: no dataset is given, nor --golden" in capsys.readouterr().err


def autoencoder() -> Net:
    """Linear layers, from 12 values to as many."""
    net = Net(12, seed=4)
    for n_in, n_out in ((12, 8), (8, 3), (3, 8), (8, 12)):
        net.linear(n_out, n_in)
        if n_out < 12:
            net.op("Relu")
    return net


def test_an_autoencoder_is_known_by_its_outputs(tmp_path, capsys):
    """As many as inputs: squared error to these, without labels; errors are those of float."""
    net = autoencoder()
    onnx.save(net.model(), tmp_path / "ae.onnx")
    x = net.samples(300).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "xy.npz", x=x, y=np.arange(300) % 12)
    run("import", tmp_path / "ae.onnx", "--calibrate", tmp_path / "x.npz", "-o",
        tmp_path / "ae.priot", "--json", tmp_path / "ae.json")
    said = capsys.readouterr().out
    assert "as many outputs as inputs: squared error to its input" in said
    assert "mean squared error on 300 samples" in said and "accuracy" not in said
    fidelity = json.loads((tmp_path / "ae.json").read_text())["fidelity"]
    assert fidelity["error"] == pytest.approx(fidelity["float_error"], rel=0.05)
    graph, _ = import_file(tmp_path / "ae.onnx")
    mean = np.square(logits(graph, x) - x).mean()
    assert fidelity["float_error"] == pytest.approx(mean, rel=0.01)
    model = tmp_path / "ae.priot"
    run("dataset", tmp_path / "x.npz", "--for", model, "-o", tmp_path / "x.prd")
    report = evaluate(model, tmp_path / "x.prd", UnixTarget())
    assert report["mean_squared_error"] == pytest.approx(fidelity["error"], rel=0.01)
    trained = train(TrainJob(model, tmp_path / "x.prd", tmp_path / "x.prd", "gain", 3),
                    UnixTarget())
    assert trained["error_after"] < trained["error_before"]
    run("import", tmp_path / "ae.onnx", "--calibrate", tmp_path / "xy.npz", "--loss",
        "cross-entropy", "-o", tmp_path / "classes.priot", "--force")
    assert Model.read(tmp_path / "classes.priot").loss != Model.read(model).loss


def wide_autoencoder() -> Net:
    """More values than a dataset can have classes."""
    net = Net(300, seed=6)
    net.linear(4, 300)
    net.op("Relu")
    net.linear(300, 4)
    return net


def test_outputs_of_an_autoencoder_are_no_classes(tmp_path, capsys):
    """300 of them: its golden outputs are replayed, and samples made for it keep their labels."""
    net, model = wide_autoencoder(), tmp_path / "wide.priot"
    onnx.save(net.model(), tmp_path / "wide.onnx")
    x = net.samples(40).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(40) % 3)
    run("import", tmp_path / "wide.onnx", "--calibrate", tmp_path / "x.npz", "-o", model,
        "--golden", 5, "--force")
    run("dataset", tmp_path / "x.npz", "--for", model, "-o", tmp_path / "x.prd")
    assert Dataset.read(tmp_path / "x.prd").labels.tolist() == [i % 3 for i in range(40)]
    capsys.readouterr()
    run("evaluate", model, "--golden")
    assert "golden: all 1,500 logits of 5 samples are equal" in capsys.readouterr().out


def test_targets_are_imported_with_their_samples(tmp_path, capsys):
    """Squared error of two outputs to y, at the exponent that the model keeps."""
    net = Net(6, seed=5)
    net.linear(9, 6)
    net.op("Relu")
    net.linear(2, 9)
    onnx.save(net.model(), tmp_path / "net.onnx")
    graph, _ = import_file(tmp_path / "net.onnx")
    x = net.samples(200).astype(np.float32)
    y = logits(graph, x) + 0.3
    np.savez(tmp_path / "xy.npz", x=x, y=y)
    model, data = tmp_path / "net.priot", tmp_path / "xy.prd"
    run("import", tmp_path / "net.onnx", "--calibrate", tmp_path / "xy.npz", "--loss", "squared",
        "-o", model, "--force", "--json", tmp_path / "net.json")
    fidelity = json.loads((tmp_path / "net.json").read_text())["fidelity"]
    assert fidelity["float_error"] == pytest.approx(0.09, rel=0.05)
    run("dataset", tmp_path / "xy.npz", "--for", model, "-o", data)
    loaded, dataset = Model.read(model), Dataset.read(data)
    assert np.abs(dataset.targets * 2.0**loaded.target_exponent - y).max() <= (
        2.0 ** (loaded.target_exponent - 1) + 1e-6)
    run("import", tmp_path / "net.onnx", "--calibrate", tmp_path / "xy.npz", "--loss", "squared",
        "-o", model, "--force", "--golden", 7)
    run("evaluate", model, "--golden")
    assert "golden: all 14 logits of 7 samples are equal" in capsys.readouterr().out
    trained = train(TrainJob(model, data, data, "weights", 3), UnixTarget())
    assert trained["error_after"] < trained["error_before"]
    assert cli.main(["import", str(tmp_path / "net.onnx"), "--calibrate", str(data), "--loss",
                     "squared", "-o", str(tmp_path / "no.priot")]) == 1
    assert "x and targets y" in capsys.readouterr().err

"""`priot inspect`, and the command line's manners: one line per failure, few imports."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest
from priot import cli
from priot.errors import PriotError
from priot.formats import Adapter, AdapterLayer
from priot.network import fields as f
from priot.paths import BACKBONES
from priot.reports.describe import histogram_text
from support import random_dataset, random_model

SPEC = "conv 4 3, relu, maxpool 2, flatten, linear 5, relu, linear 3"


@pytest.fixture
def model():
    return random_model(SPEC, (1, 8, 8), 1, 3)


def inspect(path, tmp_path, capsys, *more: str) -> tuple[str, dict]:
    report = tmp_path / "report.json"
    assert cli.main(["inspect", str(path), "--json", str(report), *more]) == 0
    return capsys.readouterr().out, json.loads(report.read_text())


def test_model(model, tmp_path, capsys):
    path = tmp_path / "m.priot"
    model.write(path)
    text, report = inspect(path, tmp_path, capsys)
    assert report["bytes"] == path.stat().st_size and report["crc32"] == f"{model.crc:08x}"
    assert report["network"] == SPEC and report["weights"] == 36 + 4 * 9 * 5 + 15
    assert report["activation_bytes"] == 4 * 9 + 5 + 3 and report["argmax_bytes"] == 4 * 3
    conv, linear, last = report["stages"]
    assert (conv["kind"], conv["input"], conv["output"]) == ("conv2d", [1, 8, 8], [4, 3, 3])
    assert (conv["relu"], conv["pool"], last["relu"]) == (True, 2, False)
    assert linear["forward_shift"] == model.weight_stages[1].forward_shift
    assert conv["largest_weight"] == np.abs(model.stages[0].weights.astype(int)).max()
    assert SPEC in text and "1x8x8" in text and report["crc32"] in text
    kernels = [stage["pico_kernel"] for stage in report["stages"]]
    assert kernels == ["armv6m 3x3", "armv6m linear", "portable C: inputs no multiple of 4"]
    assert all(kernel in text for kernel in kernels)


def test_dataset(model, tmp_path, capsys):
    data = random_dataset(model, 20, 2)
    data.write(tmp_path / "d.prd")
    text, report = inspect(tmp_path / "d.prd", tmp_path, capsys)
    assert report["samples"] == 20 and report["image"] == [1, 8, 8] and report["classes"] == 3
    assert report["per_class"] == [int((data.labels == c).sum()) for c in range(3)]
    assert report["largest_pixel"] == data.images.max() and "20 samples 1x8x8" in text


def adapter_of(model) -> Adapter:
    scores = np.array([-128] * 9 + [-65, -64] + [0] * 20 + [127] * 5, np.int8)
    bitmap = np.arange(15) < 2
    return Adapter(model.crc, "scores", "priot-s", [
        AdapterLayer(0, scores, threshold=64),
        AdapterLayer(2, np.zeros(2, np.int8), f.BITMAP, 0, 128, 50, bitmap)], epochs=4, seed=9)


def test_adapter(model, tmp_path, capsys):
    adapter_of(model).write(tmp_path / "a.scores")
    model.write(tmp_path / "m.priot")
    text, report = inspect(tmp_path / "a.scores", tmp_path, capsys, "--backbone",
                           str(tmp_path / "m.priot"))
    first, second = report["layers"]
    assert (report["method"], report["epochs"], report["seed"]) == ("priot-s", 4, 9)
    assert (first["kept"], first["threshold"], first["least"], first["greatest"]) == (
        26, -64, -128, 127)
    assert sum(first["histogram"]) == 36 and first["histogram"][0] == 9
    assert (second["parameters"], second["kept"], second["keep_percent"]) == (2, 2, 50)
    assert "72.2 % kept" in text and "bitmap" in text


def test_adapter_of_biases(tmp_path, capsys):
    """They are of outputs, and there are no edges."""
    adapter = Adapter(1, "biases", "bias", [AdapterLayer(1, np.array([-300, 7, 40], np.int32))])
    adapter.write(tmp_path / "b.scores")
    text, report = inspect(tmp_path / "b.scores", tmp_path, capsys)
    assert report["layers"][0]["selection"] == "biases"
    assert "layer 1: 3 (biases), -300..40" in text and "edges" not in text


def test_mask_and_other_backbone(model, tmp_path, capsys):
    mask = AdapterLayer(2, np.arange(15) < 6)
    Adapter(model.crc ^ 1, "mask", "priot", [mask]).write(tmp_path / "a.mask")
    text, report = inspect(tmp_path / "a.mask", tmp_path, capsys)
    assert report["layers"][0]["kept"] == 6 and "40.0 % kept" in text
    model.write(tmp_path / "m.priot")
    assert cli.main(["inspect", str(tmp_path / "a.mask"), "--backbone",
                     str(tmp_path / "m.priot")]) == 1
    assert capsys.readouterr().err == (
        f"priot: {tmp_path / 'a.mask'}: backbone: found {model.crc ^ 1:08x}, "
        f"expected {model.crc:08x}, the model's; it was learned on another model\n")


def test_histogram_text():
    text = histogram_text(np.array([-128] * 9 + [0] + [127] * 5, np.int8))
    assert len(text) == 16 and text[0] == "@" and text[8] == "." and text[1] == " "


@pytest.mark.parametrize("content, reason", [
    (None, "no such file or directory"),
    (b"", "kind: found an empty file, expected a model, dataset or adapter file"),
    (b"text", "kind: found text, expected a model, dataset or adapter file"),
    (b"PRIM", "file size: found 4, expected at least 16"),
])
def test_bad_files_end_in_one_line(content, reason, tmp_path, capsys):
    path = tmp_path / "bad"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["inspect", str(path)]) == 1
    assert capsys.readouterr().err == f"priot: {path}: {reason}\n"


@pytest.mark.parametrize("error, status, line", [
    (PriotError("board", "gone"), 1, "priot: board: gone"),
    (ValueError("two\n  lines"), 1, "priot: two lines"),
    (OSError(28, "No space left on device", "x"), 1, "priot: x: no space left on device"),
    (KeyboardInterrupt(), 130, "priot: stopped: interrupted from the keyboard"),
])
def test_expected_failures(error, status, line, monkeypatch, capsys):
    def fail(args):
        raise error

    def add_parser(subparsers):
        subparsers.add_parser("inspect")

    module = types.SimpleNamespace(add_parser=add_parser, main=fail)
    monkeypatch.setattr(cli, "_module", lambda command: module)
    assert cli.main(["inspect"]) == status
    assert capsys.readouterr().err == line + "\n"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    module = types.SimpleNamespace(
        add_parser=lambda subparsers: subparsers.add_parser("inspect"), main=lambda args: 1 / 0)
    monkeypatch.setattr(cli, "_module", lambda command: module)
    with pytest.raises(ZeroDivisionError):
        cli.main(["inspect"])


def test_inspect_imports_nothing_heavy(model, tmp_path):
    model.write(tmp_path / "m.priot")
    code = ("import sys; from priot import cli; cli.main(['inspect', sys.argv[1]]); "
            "print([m for m in ('torch', 'matplotlib', 'scipy', 'sklearn', 'PIL', 'serial') "
            "if m in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.priot")],
                            capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_help_lists_what_is_installed(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "inspect" in text and "quantize" in text


@pytest.mark.parametrize("arguments", [
    ["nonsense"], [], ["train"], ["inspect", "--json"], ["dataset", "digits", "--part", "sea"]])
def test_a_command_that_is_not_understood_is_told_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("priot: ") and said.count("\n") == 1 and "--help'" in said


@pytest.mark.parametrize("name, meant", [
    ("digits-0", "digits-0.priot"), ("digits.priot", "digits-0.priot"),
    ("mnist-a-1.priott", "mnist-a-1.priot"), ("quite-another", None), ("no/digits-0", None)])
def test_the_name_of_no_file_brings_the_one_that_was_meant(tmp_path, capsys, monkeypatch, name,
                                                           meant):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["inspect", name]) == 1
    hint = f"; did you mean {BACKBONES / meant}?" if meant else ""
    assert capsys.readouterr().err == f"priot: {name}: no such file or directory{hint}\n"


def test_a_file_of_nearly_the_name_beside_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kitchen.prd").write_bytes(b"")
    for name in ("kitchen", "kitchn.prd", str(tmp_path / "kitchen")):
        assert cli.main(["inspect", name]) == 1
        assert capsys.readouterr().err.endswith("; did you mean kitchen.prd?\n")

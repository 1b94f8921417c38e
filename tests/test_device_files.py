"""The device's readers: whatever is wrong with a file, one line names file and reason."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from priot import board
from priot.formats import Adapter, Dataset, Model
from priot.formats.container import Sound
from support import micropython, random_dataset, random_model

SCRIPTS = Path(__file__).parent / "device"
SPEC = "conv 2 3, relu, maxpool 2, flatten, linear 3"
SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A tiny model, a dataset for it, and an adapter of it with a bitmap."""
    folder = tmp_path_factory.mktemp("files")
    model = random_model(SPEC, SHAPE, seed=1, classes=3)
    paths = {kind: folder / kind for kind in ("model", "dataset", "adapter", "scores")}
    model.write(paths["model"])
    random_dataset(model, 4, seed=2).write(paths["dataset"])
    micropython(
        f"import priot\nt = priot.Trainer(priot.load({str(paths['model'])!r}), 'priot-s', "
        f"fraction=30, select='random')\nt.save({str(paths['scores'])!r})\n"
        f"t = priot.Trainer(t.net)\nt.export_mask({str(paths['adapter'])!r})")
    return paths


@pytest.mark.parametrize("kind", ["model", "dataset", "adapter", "scores"])
def test_every_truncation_and_flipped_bit_is_refused(files, kind, tmp_path):
    result = micropython(SCRIPTS / "corrupt.py", kind, str(files[kind]), str(tmp_path / "bad"),
                         str(files["model"]))
    lines = result.stdout.splitlines()
    n = 9 * files[kind].stat().st_size + 1
    assert lines == [f"refused {n} of {n}"], lines[:5]


def forged(data: bytes, changes: dict[int, bytes]) -> bytes:
    """The file with bytes replaced, and its size and CRC32 put right again."""
    forged_data = bytearray(data)
    for offset, new in changes.items():
        forged_data[offset:offset + len(new)] = new
    struct.pack_into("<II", forged_data, 8, len(forged_data), zlib.crc32(forged_data[16:]))
    return bytes(forged_data)


def outcomes(kind: str, files: dict[str, Path], folder: Path, forgeries: list[bytes]) -> list[str]:
    paths = []
    for i, data in enumerate(forgeries):
        paths.append(folder / f"forged{i}")
        paths[-1].write_bytes(data)
    result = micropython(SCRIPTS / "forge.py", kind, str(files["model"]), *map(str, paths))
    return result.stdout.splitlines()


FORGED_MODELS = [
    ({4: b"\x01\0"}, "version is 1, expected 2; convert it on a PC: priot convert"),
    ({4: b"\x03\0"}, "version is 3, expected 2"),
    ({16: b"\n"}, "name is b'\\nandom', expected 1..16 bytes of text"),
    ({32: b"\0\0"}, "side of the input is 0, expected 1..65535"),
    ({36: b"\x09\0"}, "payload is 44, expected 56 bytes"),
    ({38: b"\x04\0"}, "last stage is linear: 8x1x1 -> 3x1x1, expected 4 logits without relu"),
    ({40: b"\2"}, "outputs is 3, expected 36, as the input has"),
    ({40: b"\3"}, "loss is 3, expected 0..2"),
    ({62: b"\1"}, "reserved is set, expected 0"),
    ({40: b"\1", 63: b"\1"}, "reserved is set, expected 0"),
    ({40: b"\1", 43: b"\1"}, "spare outputs is 1, expected 0..0"),
    ({41: b"\2"}, "header size is"),
    ({41: b"\4"}, "flags is 4, expected 0..3"),
    ({43: b"\2"}, "classes is 1, expected 2..256"),
    ({44: b"\x04\0"}, "header size is 192, expected 320"),
    ({56: b"\xff\xff\xff\xff"}, "payload is 4294967295, expected 44 bytes"),
    ({64: b"\x09"}, "stage 0: kind is 9, expected 1..6"),
    ({65: b"\x02"}, "stage 0: flags or reserved is set, expected 0"),
    ({68: b"\0\0"}, "stage 0: kernel is 0, expected 1..63"),
    ({68: b"\x0f\x0f"}, "stage 0: kernel is 15, expected 1..6"),
    ({70: b"\0\0"}, "stage 0: stride is 0, expected 1..15"),
    ({76: b"\x05\x05"}, "stage 0: window is 5, expected 1..4"),
    ({80: b"\2"}, "stage 0: groups is 2, expected a divisor of inputs and outputs"),
    ({84: b"\0\0"}, "stage 0: second input is 0, expected none"),
    ({86: b"\0"}, "stage 0: largest output is 0, expected 1..127"),
    ({91: b"\x1f"}, "stage 0: forward shift is 31, expected 0..30"),
    ({100: bytes(4)}, "stage 0: place of the bias is 0, expected 20"),
    ({104: bytes(4)}, "stage 0: has shifts by row, which this version cannot compute"),
    ({146: b"\1\0"}, "stage 1: input is 1, expected -1..0"),
    ({146: b"\xff\xff"}, "stage 1: exponent is"),
    ({152: b"\0\0"}, "stage 1: exponent is 0, expected"),
    ({192: b"\0"}, "a weight is -128, expected -127..127"),
    ({211: b"\0"}, "padding is 0, expected 128"),
]


def test_forged_models(files, tmp_path):
    """A right CRC32 does not make wrong sizes acceptable; a line says what is wrong."""
    good = files["model"].read_bytes()
    found = outcomes("model", files, tmp_path, [
        forged(good, changes) for changes, _ in FORGED_MODELS])
    assert [line.split()[0] for line in found] == ["refused"] * len(FORGED_MODELS), found
    assert [line for line in found if str(tmp_path) not in line] == []
    for line, (_, text) in zip(found, FORGED_MODELS, strict=True):
        assert text in line


def test_forged_datasets(files, tmp_path):
    good = files["dataset"].read_bytes()
    found = outcomes("dataset", files, tmp_path, [
        forged(good, {48: b"\x80"}),  # a pixel of 128
        forged(good, {48 + 36: b"\x03"}),  # label 3 of 3 classes
        forged(good, {16: b"\x05"}),  # one sample more than there are
        forged(good, {20: b"\x02\0"}),  # two channels
        forged(good, {26: b"\0\0"}),  # no class
        forged(good, {28: b"\x02\0"}),  # two bytes of a target
        forged(good, {4: b"\x01\0"}),
    ])
    assert [line.split()[0] for line in found] == ["refused"] * 7, found
    assert "pixel of sample 0 is 128, expected 0..127" in found[0]
    assert "label of sample 0 is 3, expected below 3" in found[1]
    assert "classes is 0, expected 1..256, 1 of samples with targets" in found[4]
    assert "bytes of a target is 2, expected 1, or more where it is a vector" in found[5]
    assert "version is 1, expected 2; convert it on a PC: priot convert" in found[6]


def test_names_of_the_classes(files, tmp_path):
    """They are read from models and datasets, and go on into adapters."""
    names = ("né", "deux", "три")
    model, dataset = Model.read(files["model"]), Dataset.read(files["dataset"])
    model.names = dataset.names = names
    model.write(tmp_path / "model")
    dataset.write(tmp_path / "dataset")
    said = micropython(
        f"import priot\nnet = priot.load({str(tmp_path / 'model')!r})\n"
        f"d = priot.Dataset({str(tmp_path / 'dataset')!r})\n"
        f"print(net.names == d.names, *d.names)\n"
        f"t = priot.Trainer(net)\nt.fit(d, verbose=False)\n"
        f"t.save({str(tmp_path / 'scores')!r})\nt.load({str(tmp_path / 'scores')!r})\n"
        f"t.export_mask({str(tmp_path / 'mask')!r})\nnet.apply({str(tmp_path / 'mask')!r})\n"
        f"print(priot.Dataset({str(files['dataset'])!r}).names)").stdout.splitlines()
    assert said == ["True né deux три", "()"]
    for kind in ("scores", "mask"):
        adapter = Adapter.read(tmp_path / kind)
        adapter.check_backbone(model)
        assert adapter.names == names


@pytest.mark.parametrize("number, said", [
    (2, "no such file"), (5, "the flash fails"), (84, "the file system is damaged"),
    (22, "refused by the file system: EINVAL"), (13, "refused by the file system: EACCES")])
def test_errors_of_the_file_system_are_told_in_words(number, said):
    """No bare number, neither in reading nor in writing nor to a host."""
    result = micropython(
        "import os, priot.remote as r\nfrom priot import files\n"
        f"print(files.reason(OSError({number})))\nprint(r._text(OSError({number})))\n"
        "class Disk:\n"
        "    def mount(self, readonly, mkfs): pass\n"
        "    def umount(self): pass\n"
        f"    def stat(self, path): raise OSError({number})\n"
        f"    def open(self, path, mode): raise OSError({number})\n"
        f"    def remove(self, path): raise OSError({number})\n"
        "os.mount(Disk(), '/disk')\n"
        "for attempt in (lambda: files.open_file('/disk/a'),\n"
        "                lambda: files.write_file('/disk/a', b'PRIA', 48, [b'x'])):\n"
        "    try: attempt()\n"
        "    except OSError as e: print(e.args[1])\n")
    writing = "no such directory" if number == 2 else said
    assert result.stdout.splitlines() == [
        said, said, f"/disk/a: {said}", f"/disk/a: {writing}; the previous file is untouched"]


def test_samples_are_added_to_a_dataset(files, tmp_path):
    """`push --append`: the board's file keeps its names, and is what the host would write."""
    first, more = Dataset.read(files["dataset"]), random_dataset(Model.read(files["model"]), 3, 5)
    first.names = ("one", "two", "three")
    first.write(tmp_path / "a.prd")
    data = more.to_bytes()
    head = data[:48]
    (tmp_path / "more").write_bytes(b"size" + data[48:])  # the host's four bytes come first
    on_board = Path(board.__file__).with_name("on_board.py")
    micropython(
        f"exec(open({str(on_board)!r}).read())\nfolder = {str(tmp_path)!r}\n"
        f"append(folder + '/a.prd', folder + '/more', {head!r})\n"
        f"append(folder + '/b.prd', folder + '/more', {head!r})")
    both = Dataset(np.concatenate([first.images, more.images]),
                   np.concatenate([first.labels, more.labels]), 3, first.names)
    assert (tmp_path / "a.prd").read_bytes() == both.to_bytes()
    assert (tmp_path / "b.prd").read_bytes() == data


def test_a_file_of_another_kind(files, tmp_path):
    newer = bytearray(files["model"].read_bytes())
    newer[4] = 3
    found = outcomes("model", files, tmp_path, [
        files["dataset"].read_bytes(), bytes(range(64)), b"1,2\n", b"", b"PRIM", bytes(newer)])
    assert [line.split(" ", 2)[2] for line in found] == [
        "file is a dataset, expected a model", "file is none of priot's, expected a model",
        "file is none of priot's, expected a model", "file is empty, expected a model",
        "file size is 4, expected at least 17", "version is 3, expected 2; another priot wrote it"]


def test_dataset_of_another_network(files, tmp_path):
    model = Model.read(files["model"])
    wide = Dataset(np.zeros((2, 1, 6, 8), np.uint8), np.zeros(2, np.uint8), 3)
    many = Dataset(np.zeros((2, *model.shape), np.uint8), np.zeros(2, np.uint8), 9)
    wide.write(tmp_path / "wide")
    many.write(tmp_path / "many")
    found = outcomes("dataset", files, tmp_path,
                     [(tmp_path / name).read_bytes() for name in ("wide", "many")])
    assert "samples are 1x6x8, expected 1x6x6" in found[0]
    assert "9 classes, the network has 3" in found[1]


def test_columns_of_other_sound_do_not_fit(files, tmp_path):
    model, dataset = Model.read(files["model"]), Dataset.read(files["dataset"])
    model.sound, dataset.sound = Sound(8000, 256, 160), Sound(8000, 256, 128)
    model.write(tmp_path / "model")
    dataset.write(tmp_path / "other")
    replace(dataset, sound=model.sound).write(tmp_path / "same")
    said = micropython(
        f"import priot\nnet = priot.load({str(tmp_path / 'model')!r})\n"
        f"for path in ({str(tmp_path / 'same')!r}, {str(files['dataset'])!r}, "
        f"{str(tmp_path / 'other')!r}):\n"
        "  try:\n    net.evaluate(path)\n    print('fits')\n"
        "  except ValueError as e:\n    print(e)").stdout.splitlines()
    assert said == ["fits", "fits", f"{tmp_path / 'other'}: columns of other sound (rate, frame, "
                    "hop) than the network's"]


def test_adapter_of_another_backbone(files, tmp_path):
    other = random_model(SPEC, SHAPE, seed=9, classes=3)
    other.write(tmp_path / "other")
    found = outcomes("adapter", {"model": tmp_path / "other"}, tmp_path,
                     [files["adapter"].read_bytes(), files["scores"].read_bytes()])
    assert [line.split()[0] for line in found] == ["refused"] * 2, found
    assert all("backbone is" in line for line in found)


def test_host_and_device_agree_on_adapters(files):
    """What the device wrote, the host reads, bit for bit."""
    mask = Adapter.read(files["adapter"])
    mask.check_backbone(Model.read(files["model"]))
    scores = Adapter.read(files["scores"])
    scores.check_backbone(Model.read(files["model"]))
    assert mask.content == "mask" and scores.method == "priot-s"
    model = Model.read(files["model"])
    assert [len(layer.values) for layer in mask.layers] == [
        stage.weights.size for stage in model.weight_stages]


def test_training_does_not_go_on_from_a_mask(files):
    result = micropython(
        f"import priot\nt = priot.Trainer(priot.load({str(files['model'])!r}))\n"
        f"try:\n  t.load({str(files['adapter'])!r})\nexcept ValueError as e:\n  print(e)")
    assert result.stdout.strip() == (
        f"{files['adapter']}: is a mask; training goes on from what save() wrote")


@pytest.mark.parametrize("backend", ["native", "viper"])
def test_training_allocates_nothing(tmp_path, backend):
    """A training step of every method runs under heap_lock() and leaves the heap as it was."""
    model = random_model("conv 4 3, relu, maxpool 2, flatten, linear 12, relu, linear 10",
                         (1, 12, 12), seed=4)
    model.write(tmp_path / "model")
    random_dataset(model, 30, seed=3).write(tmp_path / "data")
    result = micropython(SCRIPTS / "no_allocation.py", str(tmp_path / "model"),
                         str(tmp_path / "data"), backend, backend=backend)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert len(lines) == 7
    for method, gained, backward_passes in lines:
        assert int(gained) == 0, f"{method} allocated {gained} bytes"
        assert int(backward_passes) > 0

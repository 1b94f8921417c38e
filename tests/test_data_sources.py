"""Every source of `priot dataset`, and how damaged files of each are refused."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from priot import cli
from priot.data.sources import SOURCES, load
from priot.errors import PriotError
from priot.formats import Dataset

RNG = np.random.default_rng(5)


def run(*arguments: object) -> int:
    return cli.main(["dataset", *map(str, arguments)])


def one_line(capsys, *arguments: object) -> str:
    """The line that a refused command prints."""
    output = arguments[arguments.index("-o") + 1]
    assert run(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("priot: ") and captured.err.count("\n") == 1, captured.err
    assert not Path(str(output)).exists()
    return captured.err


# ---- MNIST --------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    """An idx file of uint8, as MNIST's description defines it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_folder(folder: Path, pack=lambda data: data, ending: str = "",
                 dot: str = "-") -> dict[str, np.ndarray]:
    """A small MNIST: 30 training and 12 test images."""
    folder.mkdir(exist_ok=True)
    arrays = {}
    for part, n in (("train", 30), ("t10k", 12)):
        arrays[f"{part}-x"] = RNG.integers(0, 256, (n, 7, 5)).astype(np.uint8)
        arrays[f"{part}-y"] = np.arange(n, dtype=np.uint8) % 10
        (folder / f"{part}-images{dot}idx3-ubyte{ending}").write_bytes(
            pack(idx(arrays[f"{part}-x"])))
        (folder / f"{part}-labels{dot}idx1-ubyte{ending}").write_bytes(
            pack(idx(arrays[f"{part}-y"])))
    return arrays


@pytest.mark.parametrize("pack, ending, dot", [
    (lambda data: data, "", "-"), (gzip.compress, ".gz", "-"), (lambda data: data, "", ".")])
def test_mnist_parts(tmp_path, pack, ending, dot):
    arrays = mnist_folder(tmp_path / "m", pack, ending, dot)
    wanted = {"pretrain": ("train", slice(0, 18)), "train": ("train", slice(18, 25)),
              "test": ("t10k", slice(None))}
    for part, (stored, where) in wanted.items():
        output = tmp_path / f"{part}.prd"
        assert run("mnist", tmp_path / "m", "--part", part, "--split", "18,7", "-o", output) == 0
        dataset = Dataset.read(output)
        assert np.array_equal(dataset.images[:, 0], arrays[f"{stored}-x"][where] >> 1)
        assert np.array_equal(dataset.labels, arrays[f"{stored}-y"][where])
        assert dataset.classes == 10


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def test_an_unpacked_gz_is_read(tmp_path):
    arrays = mnist_folder(tmp_path, ending=".gz")
    images = load("mnist", tmp_path, test=True)
    assert np.array_equal(images.pixels[:, 0], arrays["t10k-x"])
    mnist_folder(tmp_path, gzip.compress, ".gz")
    for path in tmp_path.glob("*.gz"):
        path.rename(path.with_suffix(""))  # and one that is still packed
    assert len(load("mnist", tmp_path)) == 30


def spoil(path: Path, at: int, value: bytes) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:at] + value + data[at + len(value):])


@pytest.mark.parametrize("damage, message", [
    (lambda m: spoil(m / IMAGES, 2, b"\x0d"), "magic: found 0x0d03, expected 0x0803"),
    (lambda m: spoil(m / LABELS, 3, b"\x03"), "magic: found 0x0803, expected 0x0801"),
    (lambda m: spoil(m / IMAGES, 4, b"\xff" * 12), "bytes: found 1066, expected"),
    (lambda m: spoil(m / IMAGES, 4, b"\0\0\0\x1d"), "bytes: found 1066, expected 1031"),
    (lambda m: spoil(m / LABELS, 10, b"\x0a"), "label: found 10, expected 0..9"),
    (lambda m: (m / LABELS).write_bytes(idx(np.zeros(29, np.uint8))),
     "labels: found 29, expected 30"),
    (lambda m: [(m / IMAGES).write_bytes(idx(np.zeros((0, 7, 5), np.uint8))),
                (m / LABELS).write_bytes(idx(np.zeros(0, np.uint8)))], "no images"),
    (lambda m: (m / IMAGES).unlink(), f"has no {IMAGES}"),
    (lambda m: [(m / LABELS).unlink(), (m / (LABELS + ".gz")).write_bytes(b"plain")],
     "magic: found 0x706c6169, expected 0x0801"),
    (lambda m: (m / LABELS).write_bytes(gzip.compress(bytes(30))[:-4]), "damaged gzip file"),
    (lambda m: [path.unlink() for path in m.iterdir()] + [m.rmdir()], "is no folder with"),
])
def test_damaged_mnist(tmp_path, capsys, damage, message):
    folder = tmp_path / "m"
    mnist_folder(folder)
    damage(folder)
    line = one_line(capsys, "mnist", folder, "--part", "train", "--split", "20,5", "-o",
                    tmp_path / "x.prd")
    assert message in line and str(folder) in line


@pytest.mark.parametrize("name", [LABELS, LABELS + ".gz"])
def test_truncated_mnist(tmp_path, name):
    mnist_folder(tmp_path, gzip.compress if name.endswith(".gz") else lambda data: data,
                 ".gz" if name.endswith(".gz") else "")
    data = (tmp_path / name).read_bytes()
    for size in range(len(data)):
        (tmp_path / name).write_bytes(data[:size])
        with pytest.raises(PriotError, match=name):
            load("mnist", tmp_path)


# ---- CIFAR-10 -----------------------------------------------------------------------------------


def cifar_batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {name: (RNG.integers(0, 256, (4, 3072)).astype(np.uint8),
                   RNG.integers(0, 10, 4).astype(np.uint8)) for name in names}


def write_python(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    path.write_bytes(pickle.dumps({b"data": x, b"labels": [int(label) for label in y]}, 2))


def write_binary(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    path.with_suffix(".bin").write_bytes(np.column_stack([y, x]).tobytes())


@pytest.mark.parametrize("write, inner", [
    (write_python, "."), (write_binary, "."), (write_python, "cifar-10-batches-py"),
    (write_binary, "cifar-10-batches-bin")])
def test_cifar10(tmp_path, write, inner):
    batches = cifar_batches()
    (tmp_path / inner).mkdir(exist_ok=True)
    for name, (x, y) in batches.items():
        write(tmp_path / inner / name, x, y)
    train, test = load("cifar10", tmp_path), load("cifar10", tmp_path, test=True)
    assert len(train) == 20 and train.pixels.shape[1:] == (3, 32, 32)
    assert np.array_equal(train.pixels[4:8].reshape(4, -1), batches["data_batch_2"][0])
    assert np.array_equal(train.labels[4:8], batches["data_batch_2"][1])
    assert np.array_equal(test.pixels.reshape(4, -1), batches["test_batch"][0])


def test_cifar10_of_python_2(tmp_path):
    # As the published files were pickled: Python 2's strings, numpy's old module names.
    pickled = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"U\x01b\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
        + bytes(range(256)) * 12 + b"tbU\x06labels]K\x07au.")
    (tmp_path / "test_batch").write_bytes(pickled)
    images = load("cifar10", tmp_path, test=True)
    assert images.labels.tolist() == [7]
    assert images.pixels.ravel().tolist() == list(range(256)) * 12


class Harm:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_cannot_run_code(tmp_path, capsys):
    for name, (x, y) in cifar_batches().items():
        write_python(tmp_path / name, x, y)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
    line = one_line(capsys, "cifar10", tmp_path, "--part", "train", "-o", tmp_path / "x.prd")
    assert "data_batch_3: no CIFAR-10 batch: holds " in line
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name, content, message", [
    ("data_batch_2", b"", "no CIFAR-10 batch"),
    ("data_batch_2", pickle.dumps([1]), "no CIFAR-10 batch"),
    ("data_batch_2", pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}),
     "data: found float64 (2, 3072), expected uint8 (2, 3072)"),
    ("data_batch_2", pickle.dumps({b"data": np.zeros((2, 9), np.uint8), b"labels": [1]}),
     "expected uint8 (1, 3072)"),
    ("data_batch_2", pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}),
     "label: found 10, expected 0..9"),
    ("data_batch_5.bin", bytes(3074), "bytes: found 3074, expected a multiple of 3073"),
    ("data_batch_5.bin", b"", "bytes: found 0"),
    ("data_batch_4", None, "has no data_batch_4"),
])
def test_damaged_cifar10(tmp_path, capsys, name, content, message):
    for batch, (x, y) in cifar_batches().items():
        write_python(tmp_path / batch, x, y)
    (tmp_path / name.removesuffix(".bin")).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    line = one_line(capsys, "cifar10", tmp_path, "--part", "train", "-o", tmp_path / "x.prd")
    assert message in line


# ---- arrays and folders -------------------------------------------------------------------------


@pytest.mark.parametrize("x, shape", [
    (RNG.integers(0, 256, (6, 5, 4)), (1, 5, 4)), (RNG.integers(0, 256, (6, 5, 4, 3)), (3, 5, 4)),
    (RNG.integers(0, 256, (6, 5, 4, 1)), (1, 5, 4)),
    (RNG.integers(0, 256, (6, 3, 5, 4)), (3, 5, 4))])
def test_arrays(tmp_path, x, shape):
    labels = np.array([0, 1, 2, 2, 1, 0])
    np.savez(tmp_path / "a.npz", x=x.astype(np.uint8), y=labels)
    assert run("arrays", tmp_path / "a.npz", "-o", tmp_path / "a.prd") == 0
    dataset = Dataset.read(tmp_path / "a.prd")
    assert dataset.shape == shape and dataset.classes == 3
    planes = x if x.ndim == 4 and shape == x.shape[1:] else (
        x[:, None] if x.ndim == 3 else np.moveaxis(x, 3, 1))
    assert np.array_equal(dataset.images, planes >> 1)
    assert np.array_equal(dataset.labels, labels)


GOOD = np.zeros((4, 5, 5), np.uint8)


@pytest.mark.parametrize("arrays, message", [
    ({"x": GOOD.astype("S"), "y": np.zeros(4, int)}, "x: found |S3 of 3 axes"),
    ({"x": GOOD.astype(complex), "y": np.zeros(4, int)}, "x: found complex128"),
    ({"x": GOOD[0], "y": np.zeros(4, int)}, "x: found uint8 of 2 axes"),
    ({"x": GOOD, "y": np.zeros(4)}, "y: found float64"),
    ({"x": GOOD, "y": np.zeros((4, 1), int)}, "y: found int64 of 2 axes"),
    ({"x": GOOD, "y": np.zeros(3, int)}, "labels: found 3, expected 4"),
    ({"x": GOOD, "y": np.array([0, 1, -1, 1])}, "label: found -1"),
    ({"x": GOOD, "y": np.array([0, 1, 256, 1])}, "label: found 256, expected 0..255"),
    ({"x": GOOD[:0], "y": np.zeros(0, int)}, "no images"),
    ({"x": GOOD}, "has no array y; it holds x (uint8 4x5x5)"),
    ({"images": GOOD, "t": np.zeros(4)},
     "has no array x; it holds images (uint8 4x5x5), t (float64 4)"),
    ({}, "has no array x; it holds none"),
    ({"x": np.array([None, {}], object), "y": np.zeros(2, int)},
     "not an .npz file of arrays: it holds Python objects"),
    (b"PK\3\4 no zip at all", "not an .npz file of arrays"),
    (b"", "not an .npz file of arrays: it is empty"),
    (b"label,pixel0,pixel1\n7,0,255\n", "not an .npz file of arrays: it is text; a table "
     "has .csv as the end of its name; numpy.savez(FILE, x=images, y=labels) writes one"),
    (b"\x93NUMPY\1\0", "a single array (.npy): give the file of its labels behind it"),
    (b"\x1f\x8b\x08\0", "not an .npz file of arrays: it is another file"),
    (None, "no such file"),
])
def test_damaged_arrays(tmp_path, capsys, arrays, message):
    path = tmp_path / "a.npz"
    if isinstance(arrays, dict):
        np.savez(path, **arrays)
    elif arrays is not None:
        path.write_bytes(arrays)
    line = one_line(capsys, "arrays", path, "-o", tmp_path / "x.prd")
    assert message in line and str(path) in line


def image_folders(folder: Path, mode: str = "L") -> None:
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            colour = 40 * (i + 1) + label if mode == "L" else (40 * (i + 1), label, 200)
            Image.new(mode, (6, 4), colour).save(folder / name / f"{i}.png")


def test_folders(tmp_path):
    image_folders(tmp_path / "f")
    (tmp_path / "f" / "notes.txt").write_text("not an image")
    (tmp_path / "f" / "cat" / "notes.txt").write_text("neither")
    images = load("folders", tmp_path / "f")
    assert images.pixels[:, 0, 0, 0].tolist() == [40, 80, 120, 41, 81, 121]
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1] and images.pixels.shape == (6, 1, 4, 6)
    image_folders(tmp_path / "c", "RGB")
    colour = load("folders", tmp_path / "c")
    assert colour.pixels.shape == (6, 3, 4, 6)
    assert colour.pixels[4, :, 3, 5].tolist() == [80, 1, 200]


def test_folders_of_different_sizes_need_resizing(tmp_path, capsys):
    folder = tmp_path / "f"
    image_folders(folder)
    Image.new("L", (9, 9), 7).save(folder / "dog" / "9.png")
    line = one_line(capsys, "folders", folder, "-o", tmp_path / "x.prd")
    assert "9.png: width, height: found (9, 9), expected (6, 4), or --resize" in line
    assert run("folders", folder, "--resize", "5x8", "-o", tmp_path / "x.prd") == 0
    assert Dataset.read(tmp_path / "x.prd").images.shape == (7, 1, 5, 8)


def test_damaged_folders(tmp_path, capsys):
    folder, output = tmp_path / "f", tmp_path / "x.prd"
    assert "no such file" in one_line(capsys, "folders", folder, "-o", output)
    (folder / "one").mkdir(parents=True)
    (folder / "two").mkdir()
    assert "sub-folders with pictures, one a class: found 0, expected 1..256" in one_line(
        capsys, "folders", folder, "-o", output)
    for name in ("one", "two"):
        (folder / name / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "one/a.png: not an image" in one_line(capsys, "folders", folder, "-o", output)


def test_a_source_that_needs_a_path_says_which(tmp_path, capsys):
    for name, source in SOURCES.items():
        if source.needs:
            assert f"{name}: needs {source.needs}" in one_line(
                capsys, name, "--part", "test", "--split", "1,1,1"[:3 if source.own_test else 5],
                "-o", tmp_path / "x.prd")

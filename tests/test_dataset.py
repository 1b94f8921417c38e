"""`priot dataset`: rotation worked by hand, parts that share no image, and options."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.data.prepare import PARTS, read_part, resize, rotate, subset, to_dataset
from priot.data.sources import Images, load
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


# ---- rotation and scaling -----------------------------------------------------------------------


def pixels(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)[None, None]


@pytest.mark.parametrize("degrees, expected", [
    (0, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    (360, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    (90, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
    (-90, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
    (180, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
])
def test_quarter_turns_are_counterclockwise_and_exact(degrees, expected):
    turned = rotate(pixels([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), degrees)
    assert turned.dtype == np.uint8 and turned[0, 0].tolist() == expected


def test_eighth_turn_worked_by_hand():
    # The pixel above the centre comes from row 1 - 1/sqrt(2), column 1 + 1/sqrt(2): of the
    # corner at the right above a share of 1/2, of its neighbours 0.207 each, of the centre 0.086.
    corner = rotate(pixels([[0, 0, 200], [0, 0, 0], [0, 0, 0]]), 45)[0, 0]
    assert corner[0, 1] == 100
    beside = rotate(pixels([[0, 200, 0], [0, 0, 0], [0, 0, 0]]), 45)[0, 0]
    assert beside[0, 1] == 41 and beside[1, 0] == 41
    centre = rotate(pixels([[0, 0, 0], [0, 250, 0], [0, 0, 0]]), 45)[0, 0]
    assert centre[1, 1] == 250 and centre[0, 1] == 21
    # Corners of the result come from outside: black, even where all pixels are white.
    white = rotate(np.full((1, 1, 3, 3), 255, np.uint8), 45)[0, 0]
    assert white[0, 0] == 0 and white[0, 1] == white[1, 1] == 255


def bilinear(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation by its definition, in float64: for each pixel, where it comes from."""
    height, width = image.shape
    angle = math.radians(degrees)
    turned = np.zeros(image.shape)
    for y, x in np.ndindex(height, width):
        down, right = y - (height - 1) / 2, x - (width - 1) / 2
        row = math.cos(angle) * down + math.sin(angle) * right + (height - 1) / 2
        column = -math.sin(angle) * down + math.cos(angle) * right + (width - 1) / 2
        if 0 <= row <= height - 1 and 0 <= column <= width - 1:
            top, left = min(int(row), height - 2), min(int(column), width - 2)
            below, beyond = row - top, column - left
            turned[y, x] = (
                (1 - below) * (1 - beyond) * image[top, left] + below * beyond
                * image[top + 1, left + 1] + (1 - below) * beyond * image[top, left + 1]
                + below * (1 - beyond) * image[top + 1, left])
    return turned


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (5, 9)])
@pytest.mark.parametrize("degrees", [30, 45, 60, -17.5, 200])
def test_rotation_is_bilinear_about_the_centre(shape, degrees):
    images = RNG.integers(0, 256, (2, 3, *shape)).astype(np.uint8)
    turned = rotate(images, degrees)
    exact = np.array([[bilinear(plane, degrees) for plane in image] for image in images])
    sure = np.abs(exact - np.floor(exact) - 0.5) > 1e-3  # the rest may round either way
    assert sure.mean() > 0.9
    assert np.array_equal(turned[sure], np.rint(exact[sure]).astype(np.uint8))


def test_pixels_are_halved_after_rounding():
    images = Images(pixels([[0, 1, 2], [3, 254, 255]]), np.array([1], np.uint8), 2)
    assert to_dataset(images).images[0, 0].tolist() == [[0, 0, 1], [1, 127, 127]]


def test_resizing_keeps_planes_apart():
    images = np.zeros((2, 3, 4, 6), np.uint8)
    images[0, 1], images[1, 2] = 80, 200
    larger = resize(images, 8, 5)
    assert larger.shape == (2, 3, 8, 5)
    assert larger.max(axis=(2, 3)).tolist() == [[0, 80, 0], [0, 0, 200]]
    assert larger.min(axis=(2, 3)).tolist() == [[0, 80, 0], [0, 0, 200]]
    assert resize(images, 4, 6) is images
    left = np.zeros((1, 1, 4, 6), np.uint8)
    left[..., :3] = 90
    larger = resize(left, 8, 5)[0, 0]
    assert larger[:, 0].min() == 90 and larger[:, 4].max() == 0


# ---- digits and parts ---------------------------------------------------------------------------


def test_digits_are_scaled_from_16_to_255():
    from sklearn.datasets import load_digits

    digits = load("digits", None)
    assert digits.pixels.shape == (1797, 1, 8, 8) and digits.classes == 10
    expected = {0: 0, 1: 16, 8: 128, 15: 239, 16: 255}
    values = load_digits().images.astype(int)
    for value, pixel in expected.items():
        assert (digits.pixels[:, 0][values == value] == pixel).all()


def test_parts_of_the_digits_share_no_image():
    parts = [read_part("digits", None, part) for part in PARTS]
    assert [len(part) for part in parts] == [900, 448, 449]
    whole = load("digits", None)
    rows = np.concatenate([part.pixels for part in parts]).reshape(1797, -1)
    labels = np.concatenate([part.labels for part in parts])
    order = np.lexsort(np.column_stack([rows, labels]).T)
    expected = np.lexsort(np.column_stack([whole.pixels.reshape(1797, -1), whole.labels]).T)
    assert np.array_equal(rows[order], whole.pixels.reshape(1797, -1)[expected])
    assert np.array_equal(labels[order], whole.labels[expected])
    assert all(set(part.labels) == set(range(10)) for part in parts)


def test_the_pretraining_part_never_changes():
    # The shipped backbones have seen these images: another order would put them into the tests.
    dataset = to_dataset(read_part("digits", None, "pretrain"))
    assert zlib.crc32(dataset.to_bytes()[48:]) == 0xC78176D5  # of the samples


def test_same_options_same_bytes(tmp_path):
    files = [tmp_path / name for name in ("a.prd", "b.prd", "c.prd")]
    for path, seed in zip(files, (7, 7, 8), strict=True):
        assert run("digits", "--part", "train", "--rotate", 30, "--subset", 50, "--seed", seed,
                   "-o", path) == 0
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_a_subset_draws_each_image_once():
    images = Images(np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1),
                    np.zeros(200, np.uint8), 2)
    some = subset(images, 120, 3).pixels.ravel()
    assert len(set(some)) == 120 and some.tolist() != sorted(some)
    assert np.array_equal(subset(images, 20, 3).pixels.ravel(), some[:20])
    assert sorted(subset(images, 200, 4).pixels.ravel()) == list(range(200))
    for n in (0, 201):
        with pytest.raises(PriotError, match="--subset: found"):
            subset(images, n, 0)


def test_report(tmp_path):
    output, report = tmp_path / "d.prd", tmp_path / "d.json"
    assert run("digits", "--part", "test", "--rotate", 45, "--resize", "12x10", "-o", output,
               "--json", report) == 0
    written, found = Dataset.read(output), json.loads(report.read_text())
    assert written.shape == (1, 12, 10) and len(written) == 449
    assert found["images"] == 449 and found["rotate"] == 45 and found["shape"] == [1, 12, 10]
    assert found["images_per_class"] == np.bincount(written.labels).tolist()


@pytest.mark.parametrize("options, message", [
    ([], "digits: --part: found none, expected one of pretrain, train, test"),
    (["--part", "test", "--split", "900,500"], "--part: found test"),
    (["--part", "train", "--split", "900,898"], "--split: found 900+898, expected at most 1797"),
    (["--part", "train", "--subset", "449"], "--subset: found 449, expected 1..448"),
    (["--part", "train", "--seed", "-1"], "--seed: found -1"),
    (["--part", "train", "--rotate", "nan"], "--rotate: found nan"),
    (["a-path", "--part", "train"], "digits: takes no path"),
])
def test_wrong_options(options, message, tmp_path, capsys):
    assert message in one_line(capsys, "digits", *options, "-o", tmp_path / "x.prd")


@pytest.mark.parametrize("options", [
    ["--resize", "0x8"], ["--resize", "8"], ["--split", "1,0"], ["--split", "1,2,3,4"],
    ["--part", "all"], ["--rotate", "far"]])
def test_wrong_words(options, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        run("digits", "--part", "train", *options, "-o", tmp_path / "x.prd")


def test_parts_of_arrays_share_no_image(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(0, 240, 2, dtype=np.uint8).reshape(120, 1, 1),
             y=np.arange(120) // 60)
    found = []
    for part in PARTS:
        assert run("arrays", tmp_path / "a.npz", "--part", part, "--split", "60,30,20", "-o",
                   tmp_path / "a.prd") == 0
        dataset = Dataset.read(tmp_path / "a.prd")
        assert set(dataset.labels) == {0, 1}  # though the file has one class after the other
        found += dataset.images.ravel().tolist()
    assert len(found) == len(set(found)) == 110

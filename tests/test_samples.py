"""`priot dataset` of tables, arrays and time series: every number worked by hand."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from forgery import seal
from priot.data import scaling
from priot.data.scaling import Scaling, multiplier, quantised
from priot.errors import FileError
from priot.formats import Dataset, Model
from priot.network import fields as f
from support import random_model
from test_dataset import one_line, run

RNG = np.random.default_rng(8)


def table(path: Path, rows: list, names: list | None = None, delimiter: str = ",") -> Path:
    lines = [delimiter.join(map(str, row)) for row in ([names] if names else []) + rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def made(path: Path, *options: object) -> Dataset:
    output = path.parent / "made.prd"
    assert run(path, *options, "-o", output) == 0
    return Dataset.read(output)


# ---- the arithmetic -----------------------------------------------------------------------------


@pytest.mark.parametrize("scale, expected", [
    (1.0, (1 << 14, 14)), (2.0, (1 << 14, 15)), (0.5, (1 << 14, 13)), (1.5, (10923, 14)),
    (3.0, (10923, 15)), (float(np.float32(0.1)), (10240, 10)),
])
def test_multiplier_worked_by_hand(scale, expected):
    # 2^14 / 1.5 = 10922.67; 2^10 / 0.1 = 10240
    assert multiplier(scale) == expected


def test_the_multiplier_is_the_scale_to_14_bits():
    for scale in np.exp(RNG.uniform(-60, 60, 500)).astype(np.float32):
        m, s = multiplier(float(scale))
        assert 1 << 13 <= m <= 1 << 14
        assert m * 2.0**-s * float(scale) == pytest.approx(1, abs=2**-14)


def test_rounding_is_half_up_and_ends_are_clipped():
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0, 250.0, 252.0])[None, None, :]
    assert quantised("x", values, Scaling(((2.0, 0),)))[0, 0].tolist() == [
        -1, 0, 0, 1, 2, 125, 126]  # -1.5 -> -1, -0.5 -> 0, 0.5 -> 1
    assert quantised("x", values, Scaling(((2.0, 2),), False))[0, 0].tolist() == [
        1, 2, 2, 3, 4, 127, 127]
    assert quantised("x", np.array([[[-9.0, 9.0]], [[0, 1.0]]]).transpose(1, 0, 2),
                     Scaling(((1.0, 0), (0.25, 100))))[0].tolist() == [[-9, 9], [100, 104]]


def test_values_of_another_scale_are_refused():
    values = RNG.normal(0, 1, (50, 2, 1, 10))
    fitting = scaling.standardised(values)
    assert np.abs(quantised("x", values, fitting)).max() > 60
    with pytest.raises(FileError, match="are they scaled as those it was made with"):
        quantised("x", values * 100, fitting)


# ---- tables -------------------------------------------------------------------------------------

NAMES = ["ax", "ay", "label"]
ROWS = [[1, 10, "run"], [3, 30, "sit"], [5, 50, "run"], [7, 70, "walk"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_with_names(tmp_path, delimiter):
    dataset = made(table(tmp_path / "a.csv", ROWS, NAMES, delimiter), "--scale", "1,2", "--zero",
                   -4)
    assert dataset.names == ("run", "sit", "walk") and dataset.labels.tolist() == [0, 1, 0, 2]
    assert dataset.shape == (2, 1, 1) and dataset.signed
    assert dataset.scales == ((1.0, -4), (2.0, -4)) and dataset.scale == dataset.zero == 0
    assert dataset.images.reshape(4, 2).tolist() == [[-3, 1], [-1, 11], [1, 21], [3, 31]]


def test_a_table_without_names(tmp_path):
    path = table(tmp_path / "a.csv", [[0.5, 1, 2], [1, 0, 7], [0, 2, 1]])
    dataset = made(path, "--label", 2, "--range", 0, 7)
    assert dataset.classes == 3 and dataset.labels.tolist() == [1, 0, 2] and not dataset.signed
    assert dataset.images.reshape(3, 2).tolist() == [[9, 36], [18, 127], [0, 18]]
    assert dataset.scale == pytest.approx(7 / 127) and dataset.zero == 0


def test_a_comma_is_the_decimal_point_between_semicolons(tmp_path):
    dataset = made(table(tmp_path / "a.csv", [["0,5", "1,5", 0], ["2", "-1,0", 1]], NAMES, ";"),
                   "--scale", 0.5)
    assert dataset.images.reshape(2, 2).tolist() == [[1, 3], [4, -2]]


def test_labels_that_were_written_as_fractions_are_numbers(tmp_path):
    """pandas and numpy write 3 as 3.0; it is class 3, not one that is called so."""
    rows = [[1, 2.5, "0.0"], [3, 4, "2.0"], [5, 6, "10."], [7, 8, "2"]]
    made_of = made(table(tmp_path / "a.csv", rows, ["a", "b", "label"]))
    assert made_of.labels.tolist() == [0, 2, 10, 2]
    assert (made_of.classes, made_of.names) == (11, ())
    made_of = made(table(tmp_path / "a.csv", [[1, 2, "0.5"], [3, 4, "1.5"]],
                         ["a", "b", "label"]))
    assert made_of.names == ("0.5", "1.5")


def test_an_axis_called_y_is_no_label(tmp_path):
    path = table(tmp_path / "a.csv", [[1, 2, 0], [3, 4, 1]], ["x", "y", "Class"])
    assert made(path, "--scale", 1).labels.tolist() == [0, 1]
    path = table(tmp_path / "b.csv", [[1, 2, 0], [3, 4, 1]], ["a", "b", "y"])
    assert made(path, "--scale", 1).labels.tolist() == [0, 1]


def test_columns_are_chosen_by_name(tmp_path):
    path = table(tmp_path / "a.csv", [["anna", 1, 2, 0], ["bob", 3, 4, 1]],
                 ["who", "b", "a", "activity"])
    dataset = made(path, "--label", "activity", "--columns", "a,b", "--scale", 1)
    assert dataset.images.reshape(2, 2).tolist() == [[2, 1], [4, 3]]


def test_each_channel_by_its_mean_and_deviation(tmp_path):
    values = RNG.normal([5, -300], [0.1, 40], (400, 2))
    path = table(tmp_path / "a.csv", [[*row, i % 2] for i, row in enumerate(values)], NAMES)
    dataset = made(path)
    found = dataset.images.reshape(-1, 2).astype(float)
    assert np.abs(found.mean(axis=0)).max() <= 0.5 + 0.05 and found.std(axis=0) == pytest.approx(
        32, abs=0.2)
    again = made(path, "--for", tmp_path / "made.prd")
    assert np.array_equal(again.images, dataset.images) and again.scales == dataset.scales


def test_rows_of_pixels_are_pictures(tmp_path):
    pixels = RNG.integers(0, 256, (6, 12))
    path = table(tmp_path / "a.csv", [[i % 3, *row] for i, row in enumerate(pixels)],
                 ["label", *(f"pixel{i}" for i in range(12))])
    dataset = made(path, "--shape", "1x3x4")
    assert dataset.images.reshape(6, 12).tolist() == (pixels >> 1).tolist()
    assert not dataset.signed and not dataset.scale
    random_model("flatten, linear 3", (1, 3, 4), 1, 3).write(tmp_path / "net.priot")
    assert np.array_equal(made(path, "--for", tmp_path / "net.priot").images, dataset.images)


@pytest.mark.parametrize("text, options, message", [
    ("", [], "is empty"),
    ("\n\n", [], "is empty"),
    ("a,b,label\n1,2,0\n3,x,1\n", [], "line 3, column b: found x, expected a number; --skip-bad"),
    ("a,b,label\n1,2,0\n3,,1\n", [], "line 3, column b: is missing; --skip-bad"),
    ("a,b,label\n1,NaN,0\n3,1,1\n", [], "line 2, column b: is missing"),
    ("a,b,label\n1,inf,0\n3,1,1\n", [], "line 2, column b: found inf"),
    ("a,b,label\n1,1_0,0\n3,1,1\n", [], "line 2, column b: found 1_0"),
    ("a,b,label\n1,2,0\n3,1,\n", [], "line 3, column label: is missing"),
    ("a,b,label\n1,2,0\n3,1\n", [], "line 3: columns: found 2, expected 3"),
    ("a,b,label\n", [], "has no row of values"),
    ("a,a,label\n1,2,0\n", [], "two columns are called a"),
    ("a,b,c\n1,2,0\n", [], "which column is the label? --label NAME; there are a, b, c"),
    ("a,b,label\n1,2,0\n", ["--label", "z"], "--label: has no column z; there are a, b, label"),
    ("a,b,label\n1,2,0\n", ["--columns", "a,z"], "--columns: has no column z"),
    ("a,b,label\n1,2,0\n", ["--group", "z"], "has no column z"),
    ("a,b,label\n1,2,0\n1,2,300\n", [], "label: found 300, expected 0..255"),
    ("label\n1\n2\n", [], "has one column"),
    ('a,b,label\n1,"2,0\n', [], "line"),
    ("a,b,label\n1e40,2,0\n1,2,1\n", [], "values: found up to 1e+40"),
    (b"a,b,label\n\xff\xfe,2,0\n", [], "is not text of UTF-8: byte 10"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--rotate", "30"], "--rotate: is for pictures"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--invert"], "--invert: is for pictures"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--hop", "5"], "--hop: goes with --window"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--window", "2"], "no recording of one class has 2 rows"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--scale", "1,2,3"], "numbers: found 3, expected 1, or 2"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--scale", "0"], "scale 0"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--scale", "1", "--range", "0", "1"], "give one of them"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--scale", "0.001"], "are they scaled as those"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--shape", "3x1x1"], "a sample: found (2,), expected (3,"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--leave", "a", "--part", "test"], "goes with --group"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--subset", "3"], "--subset: found 3, expected 1..2"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--part", "test"], "or --split with sizes of parts"),
    ("a,b,label\n1,2,0\n1,2,1\n", ["--counts", "1,2,3"], "numbers: found 3, expected 1, or 2"),
])
def test_damaged_tables(tmp_path, capsys, text, options, message):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in one_line(capsys, path, *options, "-o", tmp_path / "x.prd")


def test_one_class_of_what_is_normal(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,label\n1,2,normal\n3,5,normal\n")
    assert run(tmp_path / "a.csv", "-o", tmp_path / "x.prd") == 0
    found = Dataset.read(tmp_path / "x.prd")
    assert found.names == ("normal",) and found.labels.tolist() == [0, 0]


def test_bad_rows_can_be_left_out(tmp_path, capsys):
    path = table(tmp_path / "a.csv", [[1, 2, 0], ["?", 3, 1], [4, "x", 0], [5, 6, 1]], NAMES)
    dataset = made(path, "--skip-bad", "--scale", 1)
    assert dataset.images.reshape(-1, 2).tolist() == [[1, 2], [5, 6]]
    assert "left out: rows 2, as line 3, column ax: is missing" in capsys.readouterr().out


# ---- time series --------------------------------------------------------------------------------


def series(path: Path) -> Path:
    """Two persons, two classes; rows count up, so that a window shows where it lies."""
    labels = [0] * 10 + [1] * 7 + [0] * 10 + [1] * 5
    people = ["anna"] * 17 + ["bob"] * 15
    return table(path, [[i, -i, labels[i], people[i]] for i in range(32)],
                 ["a", "b", "label", "who"])


def firsts(dataset: Dataset) -> list[int]:
    return dataset.images[:, 0, 0, 0].tolist()


def test_windows_lie_within_label_and_person(tmp_path):
    dataset = made(series(tmp_path / "a.csv"), "--window", 4, "--hop", 2, "--group", "who",
                   "--scale", 1)
    assert dataset.shape == (2, 1, 4)
    assert firsts(dataset) == [0, 2, 4, 6, 10, 12, 17, 19, 21, 23, 27]
    assert dataset.images[1].tolist() == [[[2, 3, 4, 5]], [[-2, -3, -4, -5]]]
    assert dataset.labels.tolist() == [0] * 4 + [1] * 2 + [0] * 4 + [1]


def test_a_window_lies_in_one_recording(tmp_path):
    path = table(tmp_path / "a.csv", [[i, -i, 0, i // 5] for i in range(10)] + [
        [10, 0, 1, 1], [11, 0, 1, 1]], ["a", "b", "label", "take"])
    assert firsts(made(path, "--window", 2, "--series", "take", "--scale", 1)) == [0, 2, 5, 7, 10]
    bad = table(tmp_path / "b.csv", [[0, 0, 0], [1, 0, 0], ["x", 0, 0], [3, 0, 0], [4, 0, 0],
                                     [9, 0, 1], [10, 0, 1]], NAMES)
    assert firsts(made(bad, "--window", 2, "--skip-bad", "--scale", 1)) == [0, 3, 9]


def test_one_is_left_out(tmp_path):
    path = series(tmp_path / "a.csv")
    options = ["--window", 4, "--group", "who", "--scale", 1, "--leave", "bob"]
    assert firsts(made(path, *options, "--part", "train")) == [0, 4, 10]
    assert firsts(made(path, *options, "--part", "pretrain")) == [0, 4, 10]
    assert firsts(made(path, *options, "--part", "test")) == [17, 21, 27]


def test_parts_share_no_group(tmp_path):
    rows = [[person, i % 3, i % 2, person] for i in range(60) for person in range(10)]
    path = table(tmp_path / "a.csv", rows, ["a", "b", "label", "who"])
    seen = []
    for part in ("pretrain", "train", "test"):
        dataset = made(path, "--group", "who", "--split", "5,3,2", "--part", part, "--scale", 1)
        seen.append(set(dataset.images[:, 0, 0, 0].tolist()))
    assert [len(people) for people in seen] == [5, 3, 2] and len(set.union(*seen)) == 10


def test_windows_that_overlap_are_not_split_at_random(tmp_path, capsys):
    path = series(tmp_path / "a.csv")
    line = one_line(capsys, path, "--window", 4, "--hop", 2, "--split", "3,3", "--part", "train",
                    "--columns", "a,b", "-o", tmp_path / "x.prd")
    assert "windows that overlap would share rows: give --group COLUMN" in line
    for options, message in ((["--leave", "eve"], "there are anna, bob"),
                             (["--split", "2,1"], "expected at most 2 groups")):
        assert message in one_line(capsys, path, "--window", 4, "--group", "who", "--part",
                                   "train", *options, "-o", tmp_path / "x.prd")


def test_counts_are_what_a_sensor_reads(tmp_path):
    path = table(tmp_path / "a.csv", [[0.5, 0.1, 0], [-1, 9, 1]], NAMES)
    dataset = made(path, "--counts", "100,10000", "--scale", "1,1000")
    assert dataset.images.reshape(2, 2).tolist() == [[50, 1], [-100, 33]]  # 90000 -> 32767


# ---- arrays -------------------------------------------------------------------------------------


def test_arrays_by_their_names(tmp_path):
    x, y = RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8), np.arange(5) % 3
    np.savez(tmp_path / "a.npz", pictures=x, kinds=y, other=x[:2])
    dataset = made(tmp_path / "a.npz", "--x", "pictures", "--y", "kinds")
    assert np.array_equal(dataset.images[:, 0], x >> 1) and dataset.labels.tolist() == y.tolist()


def test_the_arrays_of_keras(tmp_path, capsys):
    parts = {name: (RNG.integers(0, 256, (n, 4, 4), dtype=np.uint8), np.arange(n) % 3)
             for name, n in (("train", 9), ("test", 5))}
    path = tmp_path / "mnist.npz"
    np.savez(path, **{f"{axis}_{part}": arrays[i] for part, arrays in parts.items()
                      for i, axis in enumerate("xy")})
    for part, (x, y) in parts.items():
        dataset = made(path, "--part", part)
        assert np.array_equal(dataset.images[:, 0], x >> 1)
        assert dataset.labels.tolist() == y.tolist()
    assert "expected one of train, test" in one_line(capsys, path, "-o", tmp_path / "x.prd")
    pretrain = made(path, "--split", "6,3", "--part", "pretrain")
    assert len(pretrain) == 6 and len(made(path, "--split", "6,3", "--part", "test")) == 5


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "float16", "float32",
                                   "float64", "bool"])
def test_arrays_of_any_numbers(tmp_path, dtype):
    x = RNG.integers(0, 2, (6, 3, 1, 5)).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(6) % 2)
    assert np.array_equal(made(tmp_path / "a.npz", "--scale", 1).images, x.astype(np.uint8))


def test_two_npy_files(tmp_path, capsys):
    x, y = RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8), np.arange(5) % 3
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
    assert np.array_equal(made(tmp_path / "x.npy", tmp_path / "y.npy").images[:, 0], x >> 1)
    out = ["-o", tmp_path / "x.prd"]
    assert "give the file of its labels behind it" in one_line(capsys, tmp_path / "x.npy", *out)
    for bad, message in ((b"", "kind: found an empty file"), (b"\x93NUMPY\1\0v", "not an array"),
                         (b"PK\3\4", "expected a numpy array (.npy)")):
        (tmp_path / "bad.npy").write_bytes(bad)
        assert message in one_line(capsys, tmp_path / "x.npy", tmp_path / "bad.npy", *out)
        if bad[:1] == b"\x93":
            assert message in one_line(capsys, tmp_path / "bad.npy", tmp_path / "y.npy", *out)


def test_series_in_arrays(tmp_path):
    x = np.arange(2 * 7 * 3).reshape(2, 7, 3)
    np.savez(tmp_path / "a.npz", x=x, y=[1, 0], who=["a", "b"], names=["sit", "run"])
    dataset = made(tmp_path / "a.npz", "--window", 3, "--hop", 2, "--scale", 1, "--group", "who")
    assert dataset.shape == (3, 1, 3) and dataset.names == ("sit", "run")
    assert dataset.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert firsts(dataset) == [0, 6, 12, 21, 27, 33]
    assert dataset.images[1, :, 0].tolist() == [[6, 9, 12], [7, 10, 13], [8, 11, 14]]


@pytest.mark.parametrize("arrays, options, message", [
    ({"x": np.zeros((3, 4)), "y": np.zeros(2, int)}, [], "labels: found 2, expected 3"),
    ({"x": np.full((3, 4), np.nan), "y": np.zeros(3, int)}, [], "NaN or infinite"),
    ({"x": np.zeros(3), "y": np.zeros(3, int)}, [], "axes of x, y: found 1, 1"),
    ({"x": np.zeros((3, 4)), "y": np.zeros(3)}, [], "found float64, float64"),
    ({"x": np.zeros((3, 4), complex), "y": np.zeros(3, int)}, [], "found complex128"),
    ({"x": np.zeros((3, 4)), "y": np.zeros(3, int)}, ["--x", "z"], "--x: has no array z"),
    ({"x": np.zeros((3, 4)), "y": np.zeros(3, int)}, ["--group", "z"], "--group: has no array z"),
    ({"x": np.zeros((3, 2, 2, 2, 2)), "y": np.zeros(3, int)}, [], "axes of x: found 5"),
    ({"x": np.zeros((3, 2, 2, 2)), "y": np.zeros(3, int)}, ["--window", "2"],
     "axes of a time series: found 4"),
])
def test_damaged_sample_arrays(tmp_path, capsys, arrays, options, message):
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in one_line(capsys, tmp_path / "a.npz", "--scale", 1, *options, "-o",
                               tmp_path / "x.prd")


# ---- files for a model --------------------------------------------------------------------------


def test_samples_as_a_model_takes_them(tmp_path):
    model = random_model("conv 2 1x3, relu, globalpool, flatten, linear 3", (2, 1, 4), 3, 3)
    model.scales, model.signed = ((2.0, 1), (0.5, -2)), True
    model.write(tmp_path / "net.priot")
    again = Model.read(tmp_path / "net.priot")
    assert again.scales == model.scales and again.to_bytes() == model.to_bytes()
    path = series(tmp_path / "a.csv")
    dataset = made(path, "--window", 4, "--columns", "a,b", "--for", tmp_path / "net.priot")
    assert dataset.scales == model.scales and dataset.classes == 3
    assert dataset.images[1].tolist() == [[[3, 4, 4, 5]], [[-10, -12, -14, -16]]]
    assert Dataset.from_bytes(dataset.to_bytes()).scales == model.scales


def test_a_model_without_classes_leaves_the_data_theirs(tmp_path):
    """An autoencoder has as many outputs as inputs, and digits have ten classes."""
    random_model("flatten, linear 4, relu, linear 64", (1, 8, 8), 3, 64,
                 f.RECONSTRUCTION).write(tmp_path / "ae.priot")
    output = tmp_path / "digits.prd"
    assert run("digits", "--for", tmp_path / "ae.priot", "--part", "test", "-o", output) == 0
    assert Dataset.read(output).classes == 10


@pytest.mark.parametrize("change, message", [
    (lambda data: data[:34] + b"\3\0" + data[36:], "header size"),
    (lambda data: data[:36] + struct.pack("<f", 1) + data[40:], "0 where each has its own"),
    (lambda data: data[:48] + struct.pack("<f", 0) + data[52:], "scale of a channel"),
    (lambda data: data[:48] + struct.pack("<f", -1) + data[52:], "scale of a channel"),
])
def test_damaged_scales(change, message):
    images = np.zeros((2, 2, 1, 4), np.int8)
    data = Dataset(images, np.array([0, 1], np.uint8), 2, scales=((1.0, 0), (2.0, 0))).to_bytes()
    with pytest.raises(FileError, match=message):
        Dataset.from_bytes(seal(change(data)))


def test_mutated_files_end_in_a_line(tmp_path, capsys):
    """Bytes of tables and archives changed, cut out and doubled: a dataset or a line, no more."""
    rng = random.Random(4)
    good_table = series(tmp_path / "good.csv").read_bytes()
    np.savez(tmp_path / "good.npz", x=RNG.normal(0, 1, (8, 4)), y=np.arange(8) % 2)
    np.save(tmp_path / "y.npy", np.arange(8) % 2)
    np.save(tmp_path / "good.npy", RNG.normal(0, 1, (8, 4)))
    kinds = ((good_table, "a.csv", ["--window", "3", "--group", "who"]),
             ((tmp_path / "good.npz").read_bytes(), "a.npz", ["--standardise"]),
             ((tmp_path / "good.npy").read_bytes(), "a.npy", ["--standardise"]))
    refused = 0
    for i in range(300):
        data, name, options = kinds[i % 3]
        data = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(data))
            what = rng.random()
            if what < 0.6:
                data[at] = rng.choice((rng.randrange(256), *b',;"\n\t\0-e9n'))
            elif what < 0.8:
                del data[at : at + rng.choice((1, 10, 1000))]
                data = data or bytearray(b"x")
            else:
                data[at:at] = data[at : at + 20]
        path = tmp_path / name
        path.write_bytes(data)
        labels = [tmp_path / "y.npy"] if name == "a.npy" else []
        status = run(path, *labels, *options, "-o", tmp_path / "x.prd")
        said = capsys.readouterr().err
        assert status in (0, 1) and said.count("\n") == status, (name, bytes(data), said)
        refused += status
    assert 100 < refused < 300

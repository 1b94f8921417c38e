"""Pictures become what one sees, and arrays what they mean; the rest is refused in one line."""

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, scalar_dtypes, unicode_string_dtypes
from hypothesis.extra.numpy import arrays as arrays_of
from PIL import Image
from priot import cli
from priot.data.as_dataset import as_dataset
from priot.data.pictures import ENDINGS
from priot.data.reading import Reading
from priot.data.sources import Images, load
from priot.errors import PriotError
from priot.formats import Dataset

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10  # 0..230, 4 high, 6 wide


def run(*arguments: object) -> int:
    return cli.main(["dataset", *map(str, arguments)])


def refused(capsys, *arguments: object) -> str:
    """The line that a refused command prints."""
    capsys.readouterr()
    assert run(*arguments) == 1
    line = capsys.readouterr().err
    assert line.startswith("priot: ") and line.count("\n") == 1, line
    return line


def folder_of(folder: Path, **pictures: Image.Image) -> Path:
    """A folder with the pictures in one class and as many plain ramps in another.

    A name such as a_png stands for a.png.
    """
    for name, picture in pictures.items():
        stem, _, ending = name.rpartition("_")
        for label, image in (("a", picture), ("b", Image.fromarray(RAMP))):
            (folder / label).mkdir(parents=True, exist_ok=True)
            if label == "a":
                image.save(folder / label / f"{stem}.{ending}")
            else:
                image.resize(picture.size).save(folder / label / f"{stem}.png")
    return folder


def scaled(values: np.ndarray, white: int) -> np.ndarray:
    """0..white as 0..255, rounded half up."""
    return np.floor(values.astype(np.float64) * 255 / white + 0.5)


def first(folder: Path, **options: object) -> tuple[np.ndarray, list[str]]:
    """The first picture of class a, [c][h][w], and what was said."""
    said: list[str] = []
    images = load("folders", folder, reading=Reading(say=said.append, **options))
    return images.pixels[0], said


# ---- as it looks ------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation, stored", [
    (1, RAMP), (2, RAMP[:, ::-1]), (3, RAMP[::-1, ::-1]), (4, RAMP[::-1]), (5, RAMP.T),
    (6, np.rot90(RAMP)), (7, np.rot90(RAMP, 2).T), (8, np.rot90(RAMP, -1))])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_orientation(tmp_path, orientation, stored, ending):
    """EXIF's eight: however the pixels are stored, the picture that one sees is the ramp."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(np.ascontiguousarray(stored)).save(
            tmp_path / label / f"x.{ending}", exif=exif, **({"lossless": True}
                                                            if ending == "webp" else {}))
    pixels, said = first(tmp_path)
    assert np.array_equal(pixels[0], RAMP)
    if ending == "png":
        turned = ["2 of 2 pictures were turned upright, as their EXIF orientation says"]
        assert said == (turned if orientation > 1 else [])


@pytest.mark.parametrize("high, white", [
    (65535, 65535), (60001, 65535), (4095, 4095), (3000, 4095), (1023, 1023), (255, 255),
    (200, 255), (16383, 16383)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pictures_of_more_than_8_bits(tmp_path, high, white, ending):
    values = np.linspace(0, high, 24).round().astype(np.uint16).reshape(4, 6)
    folder = folder_of(tmp_path, **{f"x_{ending}": Image.fromarray(values)})
    pixels, said = first(folder)
    assert np.array_equal(pixels[0], scaled(values, white))
    assert said == [f"1 of 2 pictures have more than 8 bits: values 0..{high} read as 0..{white} "
                    "(--range says otherwise)"]
    pixels, said = first(folder, range=(0, 65535))
    assert np.array_equal(pixels[0], scaled(values, 65535))
    assert said == [f"1 of 2 pictures have more than 8 bits: values 0..{high} read as 0..65535"]


def test_pictures_of_12_bits(tmp_path):
    """A grey TIFF of 12 bits a pixel, as cameras for machines write."""
    values = np.linspace(0, 4095, 24).round().astype(np.uint16).reshape(4, 6)
    bits = "".join(f"{value:012b}" for value in values.ravel())
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = [(256, 3, 6), (257, 3, 4), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 134),
            (277, 3, 1), (278, 3, 4), (279, 4, len(data))]
    entries = b"".join(tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
                       + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
                       for tag, kind, value in tags)
    head = b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little")
    tiff = (head + entries + bytes(4)).ljust(134, b"\0") + data
    folder = folder_of(tmp_path, x_png=Image.fromarray(RAMP))
    (folder / "a" / "x.png").unlink()
    (folder / "a" / "x.tif").write_bytes(tiff)
    assert np.array_equal(first(folder)[0][0], scaled(values, 4095))


@pytest.mark.parametrize("low, high, black, white", [
    (0, 1, 0, 1), (0, 0.9, 0, 1), (-1, 1, -1, 1), (0, 254.5, 0, 255)])
def test_pictures_of_fractions(tmp_path, low, high, black, white):
    values = np.linspace(low, high, 24).astype(np.float32).reshape(4, 6)
    pixels, _ = first(folder_of(tmp_path, x_tif=Image.fromarray(values)))
    expected = np.floor((values.astype(float) - black) * 255 / (white - black) + 0.5)
    assert np.array_equal(pixels[0], expected)


def test_the_range_is_that_of_the_whole_set(tmp_path):
    """A dark picture stays dark beside a bright one."""
    dark, bright = np.full((4, 6), 100, np.uint16), np.full((4, 6), 4000, np.uint16)
    dark[0] = bright[0] = 0
    folder_of(tmp_path, x_png=Image.fromarray(dark), y_png=Image.fromarray(bright))
    images = load("folders", tmp_path, reading=Reading(say=lambda text: None))
    assert images.pixels[:2, 0, 1, 0].tolist() == [6, 249]


@pytest.mark.parametrize("value, message", [
    (np.nan, "1 values are NaN or infinite"),
    (7.5, "values 0..7.5: say which are black and white with --range LOW HIGH")])
def test_pictures_of_no_usual_range(tmp_path, capsys, value, message):
    values = np.zeros((4, 6), np.float32)
    values[1, 1] = value
    folder_of(tmp_path / "f", x_tif=Image.fromarray(values))
    assert message in refused(capsys, tmp_path / "f", "-o", tmp_path / "x.prd")


def transparent(mode: str) -> Image.Image:
    """The left half is see-through, and black beneath; the right half is opaque and of 90."""
    image = Image.new("LA" if mode == "P" else mode, (6, 4), 0)
    for x in range(3, 6):
        for y in range(4):
            image.putpixel((x, y), (90, 255) if image.mode == "LA" else (90, 90, 90, 255))
    if mode != "P":
        return image
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([90, 90, 90, 0, 0, 0])
    for x in range(3, 6):
        for y in range(4):
            palette.putpixel((x, y), 0)
    palette.info["transparency"] = 1
    return palette


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
@pytest.mark.parametrize("ground, seen", [(None, 255), ((0, 0, 0), 0), ((128, 128, 128), 128)])
def test_what_is_behind_a_transparent_picture(tmp_path, mode, ground, seen):
    picture = transparent(mode)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    Image.fromarray(RAMP).save(tmp_path / "b" / "x.png")
    picture.save(tmp_path / "a" / "x.png", **(
        {"transparency": picture.info["transparency"]} if mode == "P" else {}))
    pixels, said = first(tmp_path, background=ground)
    assert pixels.shape == (1, 4, 6)
    assert np.array_equal(pixels[0], np.array([[seen] * 3 + [90] * 3] * 4))
    assert said[0].startswith("1 of 2 pictures had a transparent ground: filled with #")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_grey_pictures_have_one_channel(tmp_path, mode):
    """However they are stored."""
    source = Image.fromarray(RAMP)
    picture = source.convert("1") if mode == "1" else source.convert(mode)
    ending = "tif" if mode == "CMYK" else "png"
    pixels, said = first(folder_of(tmp_path, **{f"x_{ending}": picture}))
    expected = np.asarray(picture.convert("L"))
    assert pixels.shape == (1, 4, 6) and np.array_equal(pixels[0], expected)
    grey = ["all pictures are grey: one channel (--no-grey keeps three)"]
    assert said == ([] if mode in ("1", "L") else grey)
    assert first(tmp_path, channels=3)[0].shape == (3, 4, 6)


def test_one_picture_in_colour_makes_three_channels(tmp_path):
    red = Image.new("RGB", (6, 4), (200, 40, 40))
    folder = folder_of(tmp_path, x_png=red, y_png=Image.fromarray(RAMP))
    pixels, said = first(folder)
    assert pixels[:, 0, 0].tolist() == [200, 40, 40]
    assert said == ["1 of 4 pictures are in colour: three channels for all (--grey makes it one)"]
    grey = first(folder, channels=1)[0]
    assert np.array_equal(grey[0], np.asarray(red.convert("L")))


def test_proportions(tmp_path):
    """A white square in the middle of a wide picture stays one with --crop and --fit."""
    wide = Image.new("L", (24, 8), 0)
    wide.paste(255, (8, 0, 16, 8))
    folder = folder_of(tmp_path, x_png=wide)
    columns = {fit: first(folder, size=(8, 8), fit=fit, background=(90, 90, 90))
               for fit in ("stretch", "crop", "fit")}
    assert (columns["crop"][0] == 255).all() and columns["crop"][1] == []
    fitted = columns["fit"][0][0]
    assert (fitted[0] == 90).all() and (fitted[7] == 90).all()  # rows above and below
    assert 250 < fitted[3, 3] and fitted[3, 0] < 5
    stretched, said = columns["stretch"]
    assert (stretched[0, :, 4] > 200).all() and (stretched[0, :, 0] < 5).all()
    assert said == [
        "2 of 2 pictures were stretched to the size (--crop or --fit keep proportions)"]


def test_invert(tmp_path):
    folder = folder_of(tmp_path / "f", x_png=Image.fromarray(RAMP))
    assert run(folder, "--invert", "-o", tmp_path / "x.prd") == 0
    assert np.array_equal(Dataset.read(tmp_path / "x.prd").images[0, 0], (255 - RAMP) >> 1)


def test_the_first_of_several(tmp_path):
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())]
    folder = folder_of(tmp_path, x_png=frames[0])
    frames[0].save(folder / "a" / "x.tif", save_all=True, append_images=frames[1:])
    (folder / "a" / "x.png").unlink()
    pixels, said = first(folder)
    assert np.array_equal(pixels[0], RAMP)
    assert said == ["1 of 2 pictures hold several pictures: the first is taken"]


# ---- what is a picture ------------------------------------------------------------------------


def test_what_is_no_picture_is_left_out(tmp_path):
    folder = folder_of(tmp_path, x_png=Image.fromarray(RAMP))
    for name in ("._x.png", ".DS_Store", "Thumbs.db", "film.mpg", "film.mpeg", "paper.pdf",
                 "paper.ps", "drawing.eps", "list.txt", "data.h5", "README"):
        (folder / "a" / name).write_bytes(b"\0\5\x16\7 other")
    images = load("folders", folder, reading=Reading(say=(said := []).append))
    assert len(images) == 2 and images.labels.tolist() == [0, 1]
    assert len(said) == 1 and said[0].startswith("left out: in a, no pictures: ")


def test_an_unreadable_picture_is_named_or_left_out(tmp_path, capsys):
    folder = folder_of(tmp_path / "f", x_png=Image.fromarray(RAMP), y_png=Image.fromarray(RAMP))
    bad = folder / "a" / "y.png"
    bad.write_bytes(bad.read_bytes()[:60])
    line = refused(capsys, folder, "-o", tmp_path / "x.prd")
    assert f"{bad}: not an image: " in line
    assert line.endswith("; --skip-bad leaves such files out\n")
    bad.rename(folder / "a" / "photo.heic")
    line = refused(capsys, folder, "-o", tmp_path / "x.prd")
    assert "photo.heic: not an image: .heic cannot be read; convert it to .png or .jpg" in line
    assert run(folder, "--skip-bad", "-o", tmp_path / "x.prd") == 0
    said = capsys.readouterr().out
    assert "left out: unreadable pictures: 1, as " in said and "photo.heic: not an image" in said
    assert Dataset.read(tmp_path / "x.prd").labels.tolist() == [0, 1, 1]


def test_every_ending_is_one_that_pillow_reads():
    Image.init()
    readable = {ending for ending, name in Image.registered_extensions().items()
                if name in Image.OPEN}
    assert ENDINGS <= readable and not ENDINGS & {".pdf", ".mpg", ".eps", ".h5"}


# ---- what shows nothing -----------------------------------------------------------------------


def test_images_that_show_nothing(tmp_path, capsys):
    black = Image.new("L", (6, 4), 0)
    folder = folder_of(tmp_path / "f", x_png=black, y_png=Image.fromarray(RAMP))
    assert run(folder, "-o", tmp_path / "x.prd") == 0
    assert ("warning: 1 of 4 images are of one value or nearly, as number 0, of class a"
            in capsys.readouterr().out)
    for path in folder.rglob("*.png"):
        black.save(path)
    line = refused(capsys, folder, "-o", tmp_path / "y.prd")
    assert "every pixel of all images is 0 of 0..127: nothing to learn" in line
    assert not (tmp_path / "y.prd").exists()


def test_a_class_that_shows_nothing_may_be_added(tmp_path):
    black = np.zeros((3, 8, 8), np.uint8)
    with pytest.warns(UserWarning, match="3 of 3 images are of one value or nearly"):
        assert as_dataset(black, np.array([2, 2, 2]), reading=Reading(range=(0, 255))).classes == 3


def test_white_on_transparent_says_what_to_look_at(tmp_path, capsys):
    """On the usual white ground there is nothing to see; on black there is."""
    white = Image.new("LA", (6, 4), (255, 0))
    white.putpixel((2, 2), (255, 255))
    for label in "ab":
        (tmp_path / "f" / label).mkdir(parents=True)
        white.save(tmp_path / "f" / label / "x.png")
    assert "(are --range and --background right?)" in refused(
        capsys, tmp_path / "f", "-o", tmp_path / "x.prd")
    assert run(tmp_path / "f", "--background", "black", "-o", tmp_path / "x.prd") == 0
    assert Dataset.read(tmp_path / "x.prd").images[0, 0, 2, 2] == 127


def test_little_contrast(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", x=np.tile(RAMP // 4, (2, 1, 1)), y=np.array([0, 1]))
    assert run(tmp_path / "a.npz", "-o", tmp_path / "x.prd") == 0
    assert "warning: pixels are 0..28 of 0..127: little contrast" in capsys.readouterr().out


# ---- arrays -----------------------------------------------------------------------------------


def arrays(x: np.ndarray, **options: object) -> tuple[Dataset, list[str]]:
    said: list[str] = []
    dataset = as_dataset(x, np.arange(len(x)) % 2, reading=Reading(say=said.append, **options))
    return dataset, said


@pytest.mark.parametrize("axes, expected, name", [
    ((28, 28), (1, 28, 28), "[n][h][w]: 1 channel of 28x28"),
    ((28, 28, 4), (4, 28, 28), "[n][h][w][c]: 4 channels of 28x28"),
    ((4, 28, 28), (4, 28, 28), "[n][c][h][w]: 4 channels of 28x28"),
    ((28, 28, 2), (2, 28, 28), "[n][h][w][c]: 2 channels of 28x28"),
    ((28, 20, 5), (5, 28, 20), "[n][h][w][c]: 5 channels of 28x20"),
    ((8, 13, 13), (8, 13, 13), "[n][c][h][w]: 8 channels of 13x13"),
    ((9, 9, 9), (9, 9, 9), "[n][c][h][w]: 9 channels of 9x9"),
    ((3, 32, 32), (3, 32, 32), "[n][c][h][w]: 3 channels of 32x32"),
    ((32, 32, 3), (3, 32, 32), "[n][h][w][c]: 3 channels of 32x32"),
    ((2, 8, 1), (1, 2, 8), "[n][h][w][c]: 1 channel of 2x8"),
    ((1, 8, 8), (1, 8, 8), "[n][c][h][w]: 1 channel of 8x8"),
    ((3, 8, 3), (3, 8, 3), "[n][c][h][w]: 3 channels of 8x3"),
])
def test_layout(axes, expected, name):
    x = np.random.default_rng(0).integers(0, 256, (4, *axes), dtype=np.uint8)
    dataset, said = arrays(x)
    assert dataset.shape == expected
    planes = x if "[c][h]" in name else x[:, None] if x.ndim == 3 else np.moveaxis(x, 3, 1)
    assert np.array_equal(dataset.images, planes >> 1)
    assert len(said) == 1 and said[0].startswith(f"images: uint8 {name}; values "), said


def test_layout_of_your_own():
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 13, 13), dtype=np.uint8)
    assert arrays(x, layout="hwc")[0].shape == (13, 8, 13)
    assert arrays(x[..., :4], layout="chw")[0].shape == (8, 13, 4)
    with pytest.raises(PriotError, match="--layout rgba: channels: found 13, expected 4"):
        arrays(x, layout="rgba")
    with pytest.raises(PriotError, match="x: found 3 axes"):
        arrays(x[0], layout="hwc")


def test_four_channels_with_transparency():
    x = np.zeros((2, 5, 6, 4), np.uint8)
    x[..., :3], x[:, :3, :, 3] = 100, 255
    dataset, said = arrays(x, layout="rgba")
    assert dataset.shape == (3, 5, 6)
    assert dataset.images[0, 0, :, 0].tolist() == [50, 50, 50, 127, 127]
    assert said[1] == "images: transparent ground filled with #ffffff (--background)"
    assert arrays(x, channels=1, background=(0, 0, 0))[0].images[0, 0, :, 0].tolist() == [
        50, 50, 50, 0, 0]


@pytest.mark.parametrize("values, black, white", [
    (np.array([0, 1], np.uint8), 0, 1),
    (np.array([False, True]), 0, 1),
    (np.arange(17, dtype=np.uint8), 0, 16),
    (np.arange(17, dtype=np.float64), 0, 16),
    (np.arange(256, dtype=np.uint8), 0, 255),
    (np.arange(18, dtype=np.int64), 0, 255),
    (np.arange(256, dtype=np.float32), 0, 255),
    (np.arange(0, 4096, 5, dtype=np.uint16), 0, 4095),
    (np.arange(0, 65536, 99, dtype=np.int32), 0, 65535),
    (np.linspace(0, 1, 50), 0, 1),
    (np.linspace(0, 1, 50, dtype=np.float16), 0, 1),
    (np.linspace(-1, 1, 50), -1, 1),
    (np.array([-1, 0, 1], np.int8), -1, 1),
    (np.arange(-128, 128, dtype=np.int8), -128, 127),
    (np.linspace(0, 254.7, 50), 0, 255),
])
def test_range(values, black, white):
    x = np.resize(values, (6, 20, 20))
    dataset, said = arrays(x)
    whole = (x.astype(np.float64) - black) * 255 / (white - black)
    assert np.array_equal(dataset.images[:, 0], np.floor(whole + 0.5).astype(np.uint8) >> 1)
    assert f"values {x.min():g}..{x.max():g} read as {black}..{white} " in said[0]


def test_range_of_your_own():
    x = np.resize(np.linspace(-2, 4, 50), (2, 10, 10))
    with pytest.raises(PriotError, match=r"images: values -2..4: say which are black and white"):
        arrays(x)
    dataset, _ = arrays(x, range=(-2, 2))
    assert np.array_equal(dataset.images[:, 0], np.floor(np.clip(
        (x + 2) * 255 / 4, 0, 255) + 0.5).astype(np.uint8) >> 1)
    inverse, _ = arrays(np.resize(np.arange(256, dtype=np.uint8), (2, 16, 16)), range=(255, 0))
    assert inverse.images[0, 0, 0, :4].tolist() == [127, 127, 126, 126]
    x[0, 0, 0] = np.inf
    with pytest.raises(PriotError, match="images: 1 values are NaN or infinite"):
        arrays(x, range=(0, 1))


def test_digits_as_scikit_learn_gives_them():
    """The arrays of load_digits become what the source `digits` is, byte for byte."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    expected = load("digits", None)
    for x in (digits.images, digits.images.astype(np.uint8)):
        with pytest.warns(UserWarning, match="values 0..16 read as 0..16"):
            dataset = as_dataset(x, digits.target)
        assert np.array_equal(dataset.images, expected.pixels >> 1)


def test_a_script_is_warned_of_what_is_not_usual_alone():
    x = np.resize(np.arange(256, dtype=np.uint8), (2, 16, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_dataset(x, np.array([0, 1]))
    with pytest.warns(UserWarning, match="uint16 .n..h..w.: 1 channel of 16x16; values 0..255"):
        as_dataset(x.astype(np.uint16), np.array([0, 1]))


@pytest.mark.parametrize("source, options, message", [
    ("digits", ["--part", "test", "--layout", "hwc"], "--layout: does not go with digits"),
    ("digits", ["--part", "test", "--skip-bad"], "--skip-bad: does not go with digits"),
    ("digits", ["--part", "test", "--background", "red"], "--background: does not go with"),
    ("digits", ["--part", "test", "--crop"], "--crop: goes with a size: --resize HxW"),
    ("digits", ["--part", "test", "--range", "1", "1"],
     "--range: found 1 1, expected two numbers: black and white"),
    ("digits", ["--part", "test", "--range", "nan", "1"], "--range: found nan 1, expected"),
    ("digits", ["--part", "test", "--range", "0", "inf"], "--range: found 0 inf, expected"),
    ("folders", ["--layout", "hwc"], "--layout: does not go with folders"),
])
def test_an_option_that_has_no_use_is_refused(tmp_path, capsys, source, options, message):
    path = [] if source == "digits" else [folder_of(tmp_path / "f", x_png=Image.fromarray(RAMP))]
    assert message in refused(capsys, source, *path, *options, "-o", tmp_path / "x.prd")


# ---- broken files -----------------------------------------------------------------------------


def samples() -> dict[str, bytes]:
    """A small file of many formats, and arrays."""
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (9, 7), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (9, 7), dtype=np.uint16))
    colour = grey.convert("RGB")
    found = {}
    for ending, name, image, options in (
            ("png", "PNG", grey, {}), ("jpg", "JPEG", colour, {}), ("gif", "GIF", grey, {}),
            ("bmp", "BMP", colour, {}), ("tif", "TIFF", deep, {}), ("webp", "WEBP", colour, {}),
            ("tiff", "TIFF", grey, {"compression": "tiff_lzw"}), ("pgm", "PPM", grey, {}),
            ("tga", "TGA", grey, {}), ("pcx", "PCX", grey, {}), ("ico", "ICO", colour, {}),
            ("jp2", "JPEG2000", colour, {}), ("dds", "DDS", colour, {}),
            ("sgi", "SGI", grey, {}), ("png_", "PNG", deep, {})):
        file = io.BytesIO()
        image.save(file, name, **options)
        found[ending] = file.getvalue()
    for ending, save in (("npz", np.savez), ("npz_", np.savez_compressed)):
        file = io.BytesIO()
        save(file, x=rng.integers(0, 256, (4, 9, 7), dtype=np.uint8), y=np.arange(4) % 2)
        found[ending] = file.getvalue()
    return found


SAMPLES = samples()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out or put in."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(spoilt)) if spoilt else 0
        what = rng.randrange(5)
        if what == 0:
            spoilt = spoilt[:at]
        elif what == 1:
            del spoilt[at : at + rng.randint(1, 9)]
        elif what == 2:
            spoilt[at:at] = rng.randbytes(rng.randint(1, 9))
        else:  # most often in the header, where the sizes stand
            at = rng.randrange(min(len(spoilt), 64)) if spoilt and what == 3 else at
            spoilt[at : at + 1] = rng.randbytes(1) if what == 3 else rng.choice(
                (b"\0", b"\xff", b"\x7f", b"\x80"))
    return bytes(spoilt)


@st.composite
def any_arrays(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of any type and shape, and those that are nearly right."""
    if draw(st.booleans()):
        return (draw(arrays_of(st.one_of(scalar_dtypes(), unicode_string_dtypes()),
                               array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4))),
                draw(arrays_of(scalar_dtypes(), array_shapes(min_dims=0, max_dims=2))))
    low, high = draw(st.sampled_from([(0, 1), (-1, 1), (0, 16), (0, 255), (-3, 4095)]))
    x = draw(arrays_of(np.float64, array_shapes(min_dims=3, max_dims=4, max_side=4),
                       elements=st.floats(low, high)))
    x = x.astype(draw(st.sampled_from([">f4", "f8", "i2", "<i8", "?", "f2"])))
    return x, draw(arrays_of(np.int64, len(x), elements=st.integers(-1, 6)))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(any_arrays())
def test_any_arrays_are_read_or_refused_in_a_line(found):
    x, y = found
    try:
        dataset = as_dataset(x, y, reading=Reading(say=lambda line: None))
    except PriotError as error:
        assert "\n" not in str(error)
    else:
        dataset.check()
        assert np.array_equal(dataset.labels, y) and dataset.images.size == x.size


@settings(max_examples=300, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ending=st.sampled_from(sorted(SAMPLES)), seed=st.integers(0, 2**32 - 1))
def test_broken_files_are_read_or_refused_in_a_line(tmp_path, capfd, ending, seed):
    data = mutated(SAMPLES[ending], random.Random(seed))
    ending = ending.rstrip("_")
    if ending == "npz":
        source = tmp_path / "x.npz"
        source.write_bytes(data)
    else:
        source = folder_of(tmp_path / "f", y_png=Image.fromarray(RAMP).resize((7, 9)))
        for path in (source / "a").iterdir():
            path.unlink()
        (source / "a" / f"x.{ending}").write_bytes(data)
    capfd.readouterr()
    status = run(source, "--resize", "9x7", "-o", tmp_path / "x.prd")
    said = capfd.readouterr().err  # what libraries in C say too
    if status:
        assert said.startswith("priot: ") and said.count("\n") == 1 and str(source) in said, said
        assert "Traceback" not in said
    else:
        assert said == ""
        Dataset.read(tmp_path / "x.prd").check()


def test_images_keep_names_when_some_are_taken():
    images = Images(RAMP.reshape(24, 1, 1, 1), np.zeros(24, np.uint8), 2, ("a", "b"))
    assert images.take(slice(3)).names == ("a", "b")

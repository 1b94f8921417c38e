"""What the golden figures are of: networks, cases and images, all of them plain integers.

Two cases may learn the same bytes only where they differ in `layout`.
"""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = Path(__file__).with_name("train.py")
RECORDED = Path(__file__).with_name("learned.json")
NETWORKS = {"digits-0": (1, 8, 8), "mnist-a-0": (1, 28, 28)}  # of host_tools/backbones
CLASSES = 10
BACKENDS = ("native", "viper")

Case = tuple[str, dict[str, int | str]]

CASES: list[Case] = [
    ("priot", {}),
    ("priot", {"layout": "kept"}),
    ("priot", {"layout": "small"}),
    ("priot", {"seed": 7}),
    ("priot", {"step": 7}),
    ("priot", {"threshold": -20}),
    ("priot", {"gmin": 40}),
    ("priot", {"halve": 1}),
    ("priot", {"rounding": "psr"}),
    ("priot", {"last": 2}),
    ("priot", {"keep": 70}),
    ("priot", {"keep": 70, "layout": "small"}),
    ("priot", {"fraction": 30}),
    ("priot-s", {}),
    ("priot-s", {"layout": "small"}),
    ("priot-s", {"threshold": 20}),
    ("priot-s", {"fraction": 20, "select": "random"}),
    ("priot-s", {"fraction": 20, "select": "random", "keep": 60}),
    ("priot-s", {"fraction": 20, "select": "random", "layout": "small"}),
    ("priot-s", {"fraction": 15, "select": "layers"}),
    ("priot-s", {"last": 1}),
    ("gain", {}),
    ("gain", {"layout": "small"}),
    ("gain", {"step": 6}),
    ("gain", {"halve": 1}),
    ("gain", {"rounding": "rhu"}),
    ("gain", {"last": 2}),
    ("gain", {"fraction": 10}),
    ("gain", {"fraction": 30, "select": "random"}),
    ("gain", {"fraction": 10, "select": "layers"}),
    ("gain", {"fraction": 10, "select": "layers", "layout": "small"}),
    ("weights", {}),
    ("weights", {"layout": "small"}),
    ("weights", {"step": 2}),
    ("weights", {"step": 9}),  # weights reach both ends
    ("weights", {"gmin": 40}),
    ("weights", {"halve": 1}),
    ("weights", {"rounding": "rhu"}),
    ("weights", {"last": 1}),
    ("weights", {"fraction": 20}),
    ("weights", {"fraction": 20, "select": "random"}),
    ("weights", {"fraction": 20, "select": "layers"}),
    ("niti", {}),
    ("niti", {"layout": "small"}),
    ("niti", {"step": 3}),
    ("niti", {"halve": 1}),
    ("niti", {"rounding": "rhu"}),
    ("niti", {"last": 2}),
    ("head", {}),
    ("head", {"layout": "small"}),
    ("head", {"step": 1}),
    ("head", {"halve": 1}),
    ("head", {"rounding": "rhu"}),
    ("weights16", {}),
    ("weights16", {"layout": "small"}),
    ("weights16", {"step": 0}),
    ("weights16", {"step": 9}),  # weights reach both ends
    ("weights16", {"gmin": 40}),
    ("weights16", {"halve": 1}),
    ("weights16", {"rounding": "rhu"}),
    ("weights16", {"last": 1}),
    ("weights16", {"fraction": 20}),
    ("weights16", {"fraction": 20, "select": "random"}),
    ("weights16", {"fraction": 20, "select": "layers"}),
]


def cases_of(network: str, backend: str) -> list[Case]:
    """The cases that a network trains by on a backend.

    Viper takes half a second a case: one network is enough for all of them, the other has every
    method, layout and selection.
    """
    if (network, backend) != ("mnist-a-0", "viper"):
        return CASES
    return [(method, options) for method, options in CASES
            if not options or "select" in options or options.get("layout") == "small"]


def key(network: str, case: Case) -> str:
    """The name of a case in learned.json."""
    method, options = case
    return " ".join([network, method, *(f"{name}={value}" for name, value in options.items())])


def samples(shape: tuple[int, int, int], n: int = 24) -> list[tuple[bytes, int]]:
    """n dark images 0..127 with a bright blob where their label says and two anywhere."""
    state = 1

    def below(limit: int) -> int:
        nonlocal state
        state = (1103515245 * state + 12345) & 0x7FFFFFFF  # an LCG: its high bits are good
        return (state >> 16) * limit >> 15

    made = []
    for i in range(n):
        label = i % CLASSES
        _, height, width = shape
        blobs = [((1 + label // 4 * 2) * height // 6, (1 + label % 4 * 2) * width // 8)]
        blobs += [(below(height), below(width)) for _ in range(2)]
        bright = [127, 64 + below(64), 64 + below(64)]
        pixels = [max(_blob(y - blob_y, x - blob_x, height, peak)
                      for (blob_y, blob_x), peak in zip(blobs, bright, strict=True))
                  for y in range(height) for x in range(width)]
        made.append((bytes(pixels), label))
    return made


def _blob(y: int, x: int, height: int, peak: int) -> int:
    """Brightness at (y, x) from the middle of a blob: none from a fifth of the height on."""
    return max(0, peak - peak * 25 * (y * y + x * x) // (height * height))


def prepare(dataset_class: Any, model: Path, network: str, backend: str,
            folder: Path) -> list[str]:
    """Write what train.py reads into a folder; returns its arguments.

    dataset_class: Dataset of the host package at hand, which knows the format of its device.
    """
    shape = NETWORKS[network]
    images, labels = zip(*samples(shape), strict=True)
    pixels = np.array([list(image) for image in images], np.uint8)
    data, cases = folder / "data.prd", folder / "cases"
    dataset_class(pixels.reshape(-1, *shape), np.array(labels, np.uint8), CLASSES).write(data)
    cases.write_text(json.dumps(cases_of(network, backend)))
    return [str(model), str(data), backend, str(cases), str(folder)]


def figures(network: str, backend: str, printed: str, folder: Path) -> dict[str, list[str]]:
    """key -> CRC32 of the learned bytes and of the answers, from what train.py left.

    Learned bytes are the payload of the scores file: what stands in headers may change.
    """
    cases = cases_of(network, backend)
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    found = {}
    for i, (case, line) in enumerate(zip(cases, lines, strict=True)):
        run = json.loads(line)
        assert run["case"] == i, line[:80]
        data = (folder / f"{i}.scores").read_bytes()
        header_size, = struct.unpack_from("<H", data, 6)
        answers = json.dumps(run["confusions"]).encode()
        found[key(network, case)] = [f"{zlib.crc32(part):08x}"
                                     for part in (data[header_size:], answers)]
    return found

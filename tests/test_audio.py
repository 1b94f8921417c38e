"""Log-mel columns: numpy against floating point, and the device's kernels against numpy."""

import base64
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audio.sounds import frames, reference, speech
from priot.data.log_mel import LEVELS, LOG_TABLE, LogMel
from priot.emulator import Qemu
from priot.errors import PriotError
from priot.package import compile_package
from priot.paths import ROOT, native_module, tool
from support import HANG_S, cpython_environment, import_device

RUNNER = Path(__file__).parent / "audio" / "runner.py"
HEAD = struct.Struct("<IHHHHHI")  # of a case, as runner.py reads it
MELS = (LogMel(8000, 16), LogMel(8000, 10), LogMel(16000, 40), LogMel(16000, 20),
        LogMel(4000, 12), LogMel(11025, 24), LogMel(48000, 64), LogMel(8000, 4, frame=128))
# module of kernels, and where it runs
BACKENDS = {"viper-cpython": "viper_audio", "viper-unix": "viper_audio",
            "native-unix": "priot_features", "viper-armv6m": "viper_audio",
            "native-armv6m": "priot_features"}
READ_BACK = """
import binascii
with open("answers", "rb") as f:
    print(str(binascii.b2a_base64(f.read()), "ascii"), end="")
"""


class Case:
    """Samples fed in blocks, and what the image has to be."""

    def __init__(self, mel: LogMel, samples: np.ndarray, columns: int, block: int) -> None:
        head = HEAD.pack(mel.rate, mel.frame, mel.hop, mel.mels, columns, block, len(samples))
        self.question = head + samples.tobytes()
        found = mel.columns(samples)
        image = np.full((columns, mel.mels), -127, np.int8)
        image[max(0, columns - len(found)):] = found[-columns:]
        last = samples[(len(found) - 1) * mel.hop:][: mel.frame].astype(np.int64)
        level = int(np.abs(last - last.sum() // mel.frame).max()).bit_length()
        self.answer = struct.pack("<HH", len(found), level) + image.tobytes()


def cases() -> list[Case]:
    """Every kind of frame in every size, and streams cut into blocks of odd sizes."""
    found = []
    for i, mel in enumerate(MELS):
        apart = LogMel(mel.rate, mel.mels, mel.frame, mel.frame)
        for x in frames(mel, i).values():
            found.append(Case(apart, x.ravel(), len(x), 4 * mel.frame))
    for i, (hop, block) in enumerate(((160, 160), (128, 77), (256, 1000), (31, 500), (1, 3))):
        mel = LogMel(8000, 16, hop)
        found.append(Case(mel, speech(mel, 256 + 12 * hop + 5, i), 8, block))
    return found


@pytest.fixture(scope="module")
def suite() -> list[Case]:
    return cases()


@pytest.fixture(scope="module")
def qemu(suite, tmp_path_factory):
    """A running Cortex-M0+ with the cases in its file system."""
    files = {"cases": b"".join(case.question for case in suite), "runner.py": RUNNER.read_bytes(),
             "priot_features.mpy": native_module("armv6m", "priot_features").read_bytes(),
             **{f"priot/{path.name}": path.read_bytes()
                for path in (compile_package("armv6m") / "priot").iterdir()}}
    with Qemu(files, tmp_path_factory.mktemp("qemu")) as board:
        yield board


def answers(where: str, suite: list[Case], folder: Path, request) -> bytes:
    module = BACKENDS[where]
    if where.endswith("armv6m"):
        board = request.getfixturevalue("qemu")
        board.run(f"import runner; runner.answer({module!r}, 'cases', 'answers')",
                  timeout_s=HANG_S)
        return base64.b64decode(board.run(READ_BACK, timeout_s=HANG_S))
    (folder / "cases").write_bytes(b"".join(case.question for case in suite))
    if where.endswith("cpython"):
        command, environment = [sys.executable], cpython_environment()
    else:
        folders = (compile_package("x64"), native_module("x64").parent)
        command = [str(tool("micropython")), "-X", "heapsize=4M"]
        environment = dict(os.environ, MICROPYPATH=os.pathsep.join(map(str, folders)))
    done = subprocess.run(
        [*command, str(RUNNER), module, str(folder / "cases"), str(folder / "answers")],
        env=environment, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return (folder / "answers").read_bytes()


@pytest.mark.parametrize("where", BACKENDS)
def test_the_device_computes_the_same_bytes(where, suite, tmp_path, request):
    found = answers(where, suite, tmp_path, request)
    for i, case in enumerate(suite):
        mine, found = found[: len(case.answer)], found[len(case.answer):]
        assert mine == case.answer, f"case {i}: {HEAD.unpack(case.question[: HEAD.size])}"
    assert not found


@pytest.mark.parametrize("mel", [mel for mel in MELS if mel.rate < 48000],  # bands of a width
                         ids=lambda mel: f"{mel.rate}-{mel.mels}-{mel.frame}")
def test_columns_are_those_of_floating_point(mel):
    """Within 1.5 levels where a band is at most 40 dB below the frame's loudest.

    A pure tone leaves other bands what the edges of their triangles let through: weights are
    256ths. So they are within 1.5 levels of their power and a 256th of all bands' more or less.
    """
    for seed in range(5):
        for name, x in frames(mel, seed).items():
            found, exact = mel.of_frames(x).astype(float), reference(mel, x)
            near = exact > exact.max(axis=1, keepdims=True) - 40 / 0.376
            if name in ("speech", "noise", "quiet", "extremes", "beside a constant"):
                assert np.abs(found - exact.clip(-127, 127))[near].max() <= 1.5, name
            elif "sines" in name:
                power = 2 ** (exact / LEVELS)
                edge = power.sum(axis=1, keepdims=True) / 256
                low, high = (LEVELS * np.log2(np.maximum(power + sign * edge, 1e-30))
                             for sign in (-1, 1))
                assert ((found >= low.clip(-127, 127) - 1.5)
                        & (found <= high.clip(-127, 127) + 1.5))[near].all(), name


def test_the_largest_sine_is_the_end_of_the_range():
    """A band that a full sine fills is 127; each halving of the amplitude takes two octaves."""
    mel = LogMel(8000, 16)
    middle = int(np.abs(mel.places - 256 * 8).argmin()) + 1  # near the middle of band 7
    sine = np.sin(2 * np.pi * middle * np.arange(256) / 256)
    found = [int(mel.of_frames(np.rint(sine * 32767 / 2**i).astype(np.int16)[None])[0, 7])
             for i in range(12)]
    assert found[0] == 127
    assert np.abs(np.diff(found[1:]) + 16).max() <= 1


def test_silence_is_the_lowest_value():
    assert (LogMel().of_frames(np.zeros((1, 256), np.int16)) == -127).all()


def test_no_sum_leaves_int32():
    """The largest of every intermediate value, at the frames that make it largest."""
    mel = LogMel(16000, 4)
    rng = np.random.default_rng(0)
    x = np.concatenate([np.where(rng.random((4000, 512)) < 0.5, -32768, 32767),
                        *(f for f in frames(mel, 0).values())]).astype(np.int64)
    points, _ = mel._windowed(x)
    assert np.abs(points).max() <= 1 << 14
    (real, imaginary), _ = mel._transform(points)
    assert np.hypot(real, imaginary).max() < 23190  # 2^14.5 and what rounding and cosines add
    powers, _ = mel._powers((real, imaginary))
    assert powers.max() < 23200**2
    assert ((powers >> 15) @ mel.weights).max() < 2**31
    assert mel.weights.sum(axis=0).max() * 32767 < 2**31


def test_tables_of_the_device_are_those_of_the_host():
    tables = import_device("audio_tables")
    assert list(tables.LOGARITHMS) == LOG_TABLE.tolist()
    for mel in (*MELS, *(LogMel(rate, mels, frame=frame) for rate in (4000, 7999, 22050)
                         for mels in (4, 13) for frame in (128, 256, 512))):
        assert list(tables.cosines(mel.frame)) == mel.cosines.tolist()
        assert list(tables.places(mel.frame, mel.rate, mel.mels)) == mel.places.tolist()


@pytest.mark.parametrize(("options", "said"), [
    (dict(rate=3999), "rate"), (dict(rate=48001), "rate"), (dict(mels=3), "mels"),
    (dict(mels=65), "mels"), (dict(mels=60, frame=128), "mels"), (dict(hop=257), "hop"),
    (dict(frame=200), "frame")])
def test_what_cannot_be_is_refused_on_both_sides(options, said):
    with pytest.raises(PriotError, match=said):
        LogMel(**options)
    audio = import_device("audio")
    options = dict(options)
    mels = options.pop("mels", 16)
    with pytest.raises(ValueError, match="audio: "):
        audio.LogMel((1, 8, mels), kernels=import_device("viper_audio"), **options)


class Net:
    """What LogMel reads of a network."""

    path, shape = "words.priot", (1, 8, 16)

    def __init__(self, sound: bytes) -> None:
        self.sound = sound


def test_a_network_says_of_what_its_columns_are_made():
    audio, kernels = import_device("audio"), import_device("viper_audio")
    net = Net(struct.pack("<4H", 16000, 512, 160, 0))
    mel = audio.LogMel(net, kernels=kernels)
    assert (mel.rate, mel.frame, mel.hop, len(mel.image)) == (16000, 512, 160, 128)
    assert audio.LogMel(net, 16000, hop=160, kernels=kernels).hop == 160
    for options in (dict(rate=8000), dict(hop=256), dict(frame=256)):
        with pytest.raises(ValueError, match="the model's are"):
            audio.LogMel(net, kernels=kernels, **options)
    with pytest.raises(ValueError, match="words.priot does not say the rate of its sound"):
        audio.LogMel(Net(b""), kernels=kernels)
    assert audio.LogMel(Net(b""), 8000, kernels=kernels).hop == 128


MISUSE = """
from array import array
import micropython, priot_features
good = [bytearray(16), array("h", [5] * 256), array("i", [0] * 160), array("h", [0] * 129),
        array("H", [0xFFFF] * 127), bytes(32)]
priot_features.log_mel(good)
micropython.heap_lock()
priot_features.log_mel(good)
micropython.heap_unlock()
def attempt(i, bad):
    try:
        priot_features.log_mel(good[:i] + [bad] + good[i + 1:])
        print("done", i, bad)
    except (ValueError, TypeError) as e:
        pass
for i in range(6):
    n = len(bytearray(memoryview(good[i])))
    for bad in (1, None, "", b"", bytes(n), bytearray(n - 1), bytearray(n + 1), bytearray(2 * n)):
        attempt(i, bad)
attempt(2, memoryview(bytearray(1000))[1:])
attempt(1, memoryview(bytearray(1000))[1:513])
print("end")
"""


def test_native_module_refuses_what_would_leave_its_buffers():
    environment = dict(os.environ, MICROPYPATH=str(native_module("x64").parent))
    done = subprocess.run([str(tool("micropython")), "-c", MISUSE], env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said.pop() == "end"
    # other lengths that are right as well: any number of bands, more scratch, read-only inputs
    assert {int(line.split()[1]) for line in said} <= {0, 1, 2, 3, 4, 5}
    for line in said:
        _, i, what = line.split(" ", 2)
        assert int(i) != 2 or "bytearray" in what, line
        assert not (int(i) in (0, 2) and what.startswith("b'")), line


SANITIZED = """
import ctypes, sys
import numpy as np
sys.path.insert(0, TESTS)
from audio.sounds import frames
from priot.data.log_mel import LOG_TABLE, LogMel
library = ctypes.CDLL(LIBRARY)
for mel in (LogMel(8000, 4), LogMel(16000, 4), LogMel(16000, 40), LogMel(4000, 12)):
    tables = [x.astype(kind) for x, kind in ((mel.cosines, np.int16), (mel.places, np.uint16),
                                             (LOG_TABLE, np.uint8))]
    rng = np.random.default_rng(1)
    extreme = np.where(rng.random((500, mel.frame)) < 0.5, -32768, 32767).astype(np.int16)
    for x in (*frames(mel, 3).values(), extreme):
        for frame, expected in zip(np.ascontiguousarray(x), mel.of_frames(x)):
            column = np.zeros(mel.mels, np.int8)
            scratch = np.zeros(mel.frame // 2 + 2 * mel.mels, np.int32)
            library.log_mel(*(ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a
                              for a in (column, mel.mels, frame, mel.frame, scratch, *tables)))
            assert (column == expected).all()
"""


def test_no_undefined_behaviour(tmp_path):
    """The C kernel compiled for this machine with sanitizers."""
    native, library = ROOT / "native", tmp_path / "log_mel.so"
    (tmp_path / "tables.h").write_text(subprocess.run(
        [sys.executable, str(native / "tables.py"), str(ROOT / "device" / "priot")], check=True,
        capture_output=True, text=True).stdout)
    subprocess.run(["gcc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    *(f"-I{path}" for path in (native, native / "portable", tmp_path)),
                    "-o", str(library), str(native / "features" / "log_mel.c")], check=True)
    preload = [subprocess.run(["gcc", f"-print-file-name=lib{name}.so"], check=True,
                              capture_output=True, text=True).stdout.strip()
               for name in ("asan", "ubsan")]
    environment = dict(os.environ, LD_PRELOAD=":".join(preload), ASAN_OPTIONS="detect_leaks=0",
                       PYTHONMALLOC="malloc", PYTHONPATH=str(ROOT / "host_tools"))
    script = SANITIZED.replace("TESTS", repr(str(Path(__file__).parent))).replace(
        "LIBRARY", repr(str(library)))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True,
                          text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-3000:]

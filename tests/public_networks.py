"""Public networks, imported and compared: with their files, with float, and on every target.

    PYTHONPATH=tests .venv/bin/python -m public_networks MODELS [--cifar CIFAR.npz]
        [--mnist FOLDER] [--sounds FOLDER] [--targets unix,qemu,emulator] [--only WORD]

MODELS is a folder with some of the files of NETWORKS. A line for each network: its parameters, how
far its float graph is from onnxruntime or LiteRT, how often int8 puts a sample in the class of
float (of an autoencoder: its mean squared error beside that of float), on samples that it was not
calibrated on, accuracy where these have labels, and what `priot evaluate --golden` says of the
imported model on each target. Status 1 where a figure or a byte is not as it should be.

CIFAR.npz has images [n][32][32][3] of 0..255 and labels: tr, ytr to calibrate, te, yte to test.
FOLDER has MNIST's four files, or wav files of about a second. Where samples are not given, smooth
random ones are taken, which tell of arithmetic, not of accuracy.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from import_support import (
    Tflite,
    logits,
    onnx_outputs,
    relative_error,
    samples_for,
    without_activation_qdq,
    without_end,
)
from PIL import Image
from priot import cli
from priot.backbone.float_graph import FloatGraph, forward
from priot.data.sources import load
from priot.formats import Model
from priot.importer import import_file
from priot.oracle.adapted import logits as int8_logits
from scipy.fft import dct
from scipy.signal import resample_poly

N_SAMPLES = 20  # beside the interpreter of the file
TOLERANCE = 1e-5  # of the largest output
STEPS = 0.6  # of a quantised layer's output, each given what the interpreter's layer read
HEAP_BYTES = 4_000_000


@dataclass(frozen=True)
class Public:
    """A file: its parameters as published; what it takes: `kind` times scale plus offset; percent
    of samples that int8 puts in the class of float, at least, or how much its error may grow;
    percent that it is to get right."""

    file: str
    parameters: int
    kind: str
    scale: float = 1.0
    offset: float = 0.0
    agreement: float = 97.0
    accuracy: float = 0.0

    @property
    def size(self) -> float:
        """How large inputs are, about."""
        return {"mfcc": 30.0, "mel128": 5.0, "mel64": 2.0}.get(self.kind, self.scale)


NETWORKS = (
    Public("mlperf_kws_ref_model_float32.tflite", 22_604, "mfcc", agreement=98.5),
    Public("mlperf_kws_ref_model_float32.tf2onnx.onnx", 22_604, "mfcc", agreement=98.5),
    Public("mlperf_kws_ref_model.tflite", 22_604, "mfcc", 1.71027, 83.0),
    Public("mlperf_pretrainedResnet.tflite", 77_706, "cifar", 255.0, accuracy=87.0),
    Public("mlperf_pretrainedResnet.tf2onnx.onnx", 77_706, "cifar", 255.0, accuracy=87.0),
    Public("mlperf_pretrainedResnet_quant.tflite", 77_706, "cifar", 255.0, -128.0),
    Public("mlperf_vww_96_float.tflite", 210_850, "large"),
    Public("mlperf_ad01_fp32.tflite", 265_864, "mel128", agreement=5.0),
    Public("tm_mnist_valid_f.tflite", 1_674, "mnist"),
    Public("tm_mnist_dw_f.tflite", 1_322, "mnist"),
    Public("tm_cifar10_f.tflite", 89_578, "cifar", accuracy=74.5),
    Public("tm_cifar10_q.tflite", 89_578, "cifar", 255.0, -128.0),
    Public("eml_mnist_cnn_fp32.tflite", 3_108, "mnist"),
    Public("eml_mnist_cnn_int8.tflite", 3_108, "mnist", 255.0, -128.0),
    Public("tflm_micro_speech_quantized.tflite", 16_652, "mel40", 255.0, -128.0),
    Public("tflm_person_detect.tflite", 210_706, "large grey", 255.0, -128.0),
    Public("pv_pulsevad_2.1k.onnx", 2_266, "mel64"),
    Public("pv_pulsevad_2.1k_int8.onnx", 2_266, "mel64"),
)


# ---- the float graph beside the interpreter of its file -----------------------------------------


def smooth(shape: tuple[int, ...], scale: float, n: int = N_SAMPLES) -> np.ndarray:
    """Smooth images 0..scale, unlike noise near what networks are trained on."""
    rows = np.random.default_rng(5).random((n, *shape))
    for axis in range(1, rows.ndim):
        rows = (rows + np.roll(rows, 1, axis) + np.roll(rows, 2, axis)) / 3
    rows = (rows - rows.min()) / (rows.max() - rows.min())
    return (rows * scale).astype(np.float32)


def float_error(path: Path, graph: FloatGraph, scale: float) -> tuple[float, float]:
    """How far a graph is from the interpreter of its file, and how far it may be.

    Of quantised TFLite files, layer by layer, in steps of its output. Raises OSError.
    """
    if path.suffix == ".onnx":
        model = onnx.load(path)
        quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        samples = samples_for(graph.file_shape, N_SAMPLES, scale=scale)
        judged = without_activation_qdq(model) if quantised else without_end(model)
        expected = onnx_outputs(judged, samples)
    else:
        judge = Tflite(path.read_bytes())
        if judge.scale(judge.entry):
            return max(error for _, error in layer_errors(judge, graph)), STEPS
        if any(judge.scale(i) for _, inputs, _ in judge.operators for i in inputs if i >= 0):
            # LiteRT would quantise the activations of a file with quantised weights alone
            return float_error(path.with_suffix(".tf2onnx.onnx"), graph, scale)
        samples = smooth(graph.file_shape, scale)
        expected, = judge.run(samples, [judge.logits_tensor()])
    found = logits(graph, samples)
    return relative_error(found, expected.reshape(found.shape)), TOLERANCE


def layer_errors(judge: Tflite, graph: FloatGraph) -> Iterator[tuple[str, float]]:
    """Operator and error in steps of every stage, given what LiteRT's layer read."""
    rng = np.random.default_rng(3)
    dtype = judge.details[judge.entry]["dtype"]
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    raw = np.rint(smooth(graph.file_shape, 255.0)).astype(int) + least
    raw = (raw + rng.integers(0, 2, raw.shape)).clip(least, most).astype(dtype)
    operators = judge.layers()
    assert len(operators) == len(graph.stages)
    outputs = judge.run(raw, [operator[2][0] for operator in operators])
    outputs = [y.reshape(N_SAMPLES, 1, 1, -1) if y.ndim == 2 else y for y in outputs]
    outputs = [np.ascontiguousarray(y.transpose(0, 3, 1, 2)) for y in outputs]
    image = graph.images(raw)
    for stage, (op, _, written), expected in zip(graph.stages, operators, outputs, strict=True):
        others = [image if n == -1 else outputs[n] for n in (stage.a, stage.b) if n is not None]
        details = judge.details[written[0]]
        step, zero = details["quantization"]
        limits = np.iinfo(details["dtype"])
        found = forward(stage, *others).clip((limits.min - zero) * step,
                                             (limits.max - zero) * step)
        yield op, float(np.abs(found - expected).max() / step)


# ---- samples ------------------------------------------------------------------------------------


@dataclass
class Samples:
    """Values of the network's own input, to calibrate and to test, and labels where known."""

    calibrate: np.ndarray
    test: np.ndarray
    labels: tuple[np.ndarray, np.ndarray] | None = None


class Source:
    """Where samples come from: arguments of the command, each None where it is not given."""

    def __init__(self, cifar: Path | None, mnist: Path | None, sounds: Path | None) -> None:
        self.cifar, self.mnist, self.sounds = cifar, mnist, sounds

    def samples(self, public: Public, shape: tuple[int, ...]) -> Samples:
        """Those of a network whose input has that shape, two to three hundred of large ones."""
        kind = public.kind
        found = None
        if kind == "mnist" and self.mnist:
            found = self._digits()
        elif kind in ("cifar", "large", "large grey") and self.cifar:
            found = self._pictures(kind)
        elif kind.startswith(("mel", "mfcc")) and self.sounds:
            found = self._sounds(kind)
        if found is None:
            rows = smooth(shape, 1.0, 300)
            if kind.startswith(("mel", "mfcc")):
                rows = 4 * rows - 2
            found = Samples(rows[:200], rows[200:])
        for name in ("calibrate", "test"):
            values = getattr(found, name) * public.scale + public.offset
            if public.offset:
                values = np.rint(values).clip(-128, 127)
            setattr(found, name, values.reshape(-1, *shape).astype(np.float32))
        return found

    def _digits(self) -> Samples:
        train, test = (load("mnist", self.mnist, part) for part in (False, True))
        return Samples(train.pixels[:512] / 255, test.pixels[:1000] / 255,
                       (train.labels[:512], test.labels[:1000]))

    def _pictures(self, kind: str) -> Samples:
        arrays = np.load(self.cifar)
        x, y, xt, yt = (arrays[name] for name in ("tr", "ytr", "te", "yte"))
        if kind == "cifar":
            return Samples(x[2000:2512] / 255, xt / 255, (y[2000:2512].ravel(), yt.ravel()))
        x, xt = (np.array([_enlarged(image, kind == "large grey") for image in some])
                 for some in (x[2000:2200], xt[:300]))
        return Samples(x / 255, xt / 255)

    def _sounds(self, kind: str) -> Samples:
        rows = np.array([_features(path, kind) for path in _spread(self.sounds, 1000)])
        if kind == "mel64":
            rows = (rows - rows.mean()) / rows.std()
        if kind == "mel40":
            rows = (rows - rows.min()) / (rows.max() - rows.min())
        order = np.random.default_rng(0).permutation(len(rows))
        half = min(512, len(rows) // 2)
        return Samples(rows[order[:half]], rows[order[half:]])


def _spread(folder: Path, n: int) -> list[Path]:
    paths = sorted(folder.rglob("*.wav"))
    return paths[:: max(1, len(paths) // n)][:n]


def _enlarged(image: np.ndarray, grey: bool) -> np.ndarray:
    picture = Image.fromarray(image).resize((96, 96), Image.Resampling.BICUBIC)
    return np.asarray(picture.convert("L") if grey else picture)


def _features(path: Path, kind: str) -> np.ndarray:
    """Of the first second of a sound: what the networks of that kind were trained on, as far as
    their authors say: 10 cepstra of 49 frames; 5 frames of 128 mels; 49 of 40; 64 mels of 21."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    sound = resample_poly(sound, 16000, rate) if rate != 16000 else sound
    sound = np.pad(sound[:16000], (0, max(0, 16000 - len(sound))))
    sound = sound / max(np.abs(sound).max(), 1e-6)
    if kind == "mfcc":
        mels = np.log(_mels(sound, 480, 320, 40, 20, 4000) + 1e-6)
        return dct(mels, axis=1)[:, :10] / 80**0.5
    if kind == "mel128":
        return (10 * np.log10(_mels(sound, 1024, 512, 128, 0, 8000) + 1e-10))[:5].ravel()
    if kind == "mel40":
        return np.log(_mels(sound, 480, 320, 40, 125, 7500) + 1e-4).ravel()
    return np.log(_mels(sound, 512, 256, 64, 0, 8000) + 1e-4)[:21].T


def _mels(sound: np.ndarray, frame: int, hop: int, n: int, low: float, high: float) -> np.ndarray:
    """Magnitudes [frames][n] under triangles even in mel, between two frequencies in Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame)[::hop] * np.hanning(frame)
    spectrum = np.abs(np.fft.rfft(frames, 1024))
    mel = np.linspace(*(2595 * np.log10(1 + hz / 700) for hz in (low, high)), n + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hz = np.linspace(0, 8000, 513)
    bank = np.array([np.interp(hz, edges[i : i + 3], [0, 1, 0]) for i in range(n)])
    return spectrum @ bank.T


# ---- the table ----------------------------------------------------------------------------------


@dataclass
class Row:
    """What was found of a network; faults: what is not as it should be."""

    text: str
    faults: list[str]


def examine(public: Public, folder: Path, source: Source, targets: list[str], n_golden: int,
            ) -> Row:
    """Import a file and compare it with all that it should be."""
    graph, report = import_file(folder / public.file)
    faults = []
    if report.parameters_before != public.parameters:
        faults.append(f"{report.parameters_before} parameters, published {public.parameters}")
    error, most = float_error(folder / public.file, graph, public.size)
    unit = " steps" if most == STEPS else ""
    if not error <= most:
        faults.append(f"float error {error:.1e}{unit}, at most {most}")
    text = f"{graph.parameters:8,} {error:8.1e}{unit:6}"
    samples = source.samples(public, graph.file_shape)
    with tempfile.TemporaryDirectory(prefix="priot-public-") as name:
        model = Path(name) / "net.priot"
        expected = logits(graph, samples.calibrate)
        ours, theirs = samples.labels or (expected.argmax(axis=1), None)
        squared = public.kind == "mel128"
        arrays = {} if squared else {"y": ours}
        np.savez(model.with_suffix(".npz"), x=samples.calibrate, **arrays)
        said = _command("import", folder / public.file, "--calibrate", model.with_suffix(".npz"),
                        "-o", model, "--golden", n_golden, "--force")
        if not model.exists():
            return Row(text, [*faults, said])
        text += _compared(public, graph, Model.read(model), samples.test, theirs, faults)
        for target in targets:
            for backend in ("native", "portable", "viper") if target != "emulator" else ("",):
                said = _replayed(model, target, backend)
                text += f" {target} {backend}: {said}"
                if said not in ("equal", "too large"):
                    faults.append(f"{target} {backend}: {said}")
    return Row(text, faults)


def _compared(public: Public, graph: FloatGraph, model: Model, test: np.ndarray,
              labels: np.ndarray | None, faults: list[str]) -> str:
    """Accuracy and agreement on samples that were not calibrated on."""
    x = graph.images(test)
    low = -127 if model.signed else 0
    numbers = np.clip(np.rint(x * 2.0**-model.input_exponent), low, 127)
    found = int8_logits(model, numbers.astype(np.int8 if model.signed else np.uint8))
    floats = np.concatenate([logits(graph, test[i : i + 50]) for i in range(0, len(test), 50)])
    if public.kind == "mel128":
        wanted = x.reshape(floats.shape)
        ours, theirs = (float(np.square(y - wanted).mean()) for y in (
            found * 2.0 ** model.exponents[-1], floats))
        percent = 100 * abs(ours / theirs - 1)
        if percent > public.agreement:
            faults.append(f"error {percent:.1f} % off, at most {public.agreement}")
        return f" error {ours:.4g}, float {theirs:.4g} ({percent:.1f} % off);"
    top, expected = found.argmax(axis=1), floats.argmax(axis=1)
    agreement = 100 * float((top == expected).mean())
    if agreement < public.agreement:
        faults.append(f"{agreement:.1f} % agree, at least {public.agreement}")
    if labels is None:
        return f" {agreement:5.1f} % of {len(test)} agree;"
    accuracy = 100 * float((top == labels).mean())
    if accuracy < public.accuracy:
        faults.append(f"{accuracy:.1f} % right, at least {public.accuracy}")
    return (f" {agreement:5.1f} % of {len(test)} agree, {accuracy:.1f} % right, float "
            f"{100 * float((expected == labels).mean()):.1f};")


def _replayed(model: Path, target: str, backend: str) -> str:
    """Of the golden outputs on a target: "equal", "too large" for it, or what was said."""
    words = ["--heap", HEAP_BYTES] if target == "unix" else []
    said = _command("evaluate", model, "--golden", "--target", target, *words,
                    *(["--backend", backend] if backend else []))
    if said.startswith("golden: all"):
        return "equal"
    fits = not ("bytes" in said and ("need" in said or "free" in said or "memory" in said))
    return said if fits else "too large"


def _command(*words: object) -> str:
    """What a command says; of one that fails, its complaint."""
    out, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        status = cli.main([str(word) for word in words])
    return (complaint if status else out).getvalue().strip()


def main() -> int:
    """Print the table; 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    for name in ("cifar", "mnist", "sounds"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--targets", default="unix", help="unix, qemu, emulator (default unix)")
    parser.add_argument("--only", default="", help="files whose names contain this")
    parser.add_argument("--golden", type=int, default=5, help="samples to replay (default 5)")
    args = parser.parse_args()
    source = Source(args.cifar, args.mnist, args.sounds)
    faults = 0
    for public in NETWORKS:
        if args.only in public.file and (args.models / public.file).exists():
            began = time.monotonic()
            row = examine(public, args.models, source, args.targets.split(","), args.golden)
            faults += len(row.faults)
            print(f"{public.file:42}{row.text} {time.monotonic() - began:.0f} s", flush=True)
            for fault in row.faults:
                print(f"    fault: {fault}", flush=True)
    return min(1, faults)


if __name__ == "__main__":
    sys.exit(main())

"""Forged files: wrong in something, with sizes, offsets and CRC32 that fit again."""

import copy
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from priot.formats import Adapter, AdapterLayer, Dataset, Model
from priot.formats import model as model_file
from priot.formats.container import Sound, pad4, to_offset
from priot.methods import METHODS
from priot.network import fields as f
from priot.network.stage import Stage
from support import random_dataset, random_model

SPECS = [
    ("conv 3 3 pad 1, relu, maxpool 2, conv 4 2, relu, avgpool 2 stride 1, flatten, linear 5, "
     "relu, linear 3", (2, 7, 6), 3),
    ("maxpool 2, relu, conv 2 3 stride 2, maxpool 2 stride 1, flatten, linear 2", (1, 13, 12), 2),
    ("linear 6, relu, linear 5", (7, 1, 1), 5),
    ("conv 2 3, relu, avgpool 2", (1, 4, 4), 2),
    ("avgpool 2, relu, conv 5 2 stride 2, globalpool", (3, 12, 11), 5),
    ("conv 3 3 stride 2, relu, globalpool, flatten, linear 4", (2, 7, 9), 4),
    ("conv 3 3 bias, relu, dw 2 bias, relu6, flatten, linear 3 bias", (1, 6, 6), 3),
]
NAMES = ("zero", "één", "zwei", "три", "四", "\U0001f600")
_TEXTS = (b"\0", b"\xc0\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80",
          b"\x7f", b"\xc2\x9b", b"\n", b"ok", "ä".encode(), b"\xe4\xb8", b"\x80", b"\0\0\0\0")
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 30, 31, 32, 63, 64, 96, 97, 126, 127, 128, 129, 255)


def models() -> list[Model]:
    """Small networks of every kind of stage, with and without names."""
    made = [random_model(spec, shape, seed, classes)
            for seed, (spec, shape, classes) in enumerate(SPECS)]
    for model in made[::2]:
        model.names = NAMES[: model.classes]
        model.scale, model.zero = 0.5, -3
    for model in made[1::2]:
        model.scales = tuple((0.25 * (i + 1), 5 - i) for i in range(model.shape[0]))
    made += [random_model("linear 3, relu, linear 6", (6, 1, 1), 7, 6, f.RECONSTRUCTION),
             random_model("conv 2 3, relu, flatten, linear 1", (1, 4, 4), 8, 1, f.SQUARED_ERROR)]
    for model in (made[1], made[4], made[7]):
        model.sound = Sound(8000, 256, 160)
    made[2].spare = np.arange(-6, 6).reshape(2, 6).astype(np.int8)  # two classes can be added
    return made


def datasets() -> list[Dataset]:
    """Some samples for each of the models."""
    made = [random_dataset(model, 3, seed) for seed, model in enumerate(models())]
    for dataset in made[:6:2]:
        dataset.names = NAMES[: dataset.classes]
    for dataset in made[1::2]:
        dataset.scales = tuple((3.5, -i) for i in range(dataset.shape[0]))
    for dataset in made[2:5]:
        dataset.sound = Sound(48000, 512, 512)
    return made


def adapters(model: Model) -> list[Adapter]:
    """Every content and selection, for a model of at least two layers with weights."""
    rng = np.random.default_rng(5)
    first, *_, last = model.weight_stages

    def values(n: int, low: int = -128) -> np.ndarray:
        return rng.integers(low, 128, n).astype(np.int8)

    bitmap = np.arange(last.weights.size) % 3 == 1
    sizes = np.sort(np.abs(last.weights.astype(int)).ravel())
    tau = int(sizes[-3])
    n_large = int((sizes >= tau).sum())
    n_first, n_last, n_bits = first.weights.size, last.weights.size, int(bitmap.sum())
    found = [
        ("scores", "priot", [AdapterLayer(0, values(n_first), threshold=64),
                             AdapterLayer(last.index, values(n_last), keep_percent=80)]),
        ("scores", "priot-s", [AdapterLayer(0, values(n_first)), AdapterLayer(
            last.index, values(n_bits), f.BITMAP, 0, 128, bitmap=bitmap)]),
        ("scores", "priot-s", [AdapterLayer(last.index, values(n_large), f.LARGEST, tau, 128)]),
        ("mask", "priot", [AdapterLayer(0, values(n_first) > 0),
                           AdapterLayer(last.index, values(n_last) > 0, threshold=64)]),
        ("gains", "gain", [AdapterLayer(0, values(n_first))]),
        ("weights", "niti", [AdapterLayer(last.index, values(n_last, -127))]),
        ("weights", "weights", [AdapterLayer(last.index, values(n_bits, -127), f.BITMAP, 30,
                                             bitmap=bitmap)]),
        ("weights16", "weights16", [
            AdapterLayer(0, values(n_first, -127), low=values(n_first).view(np.uint8)),
            AdapterLayer(last.index, values(n_bits, -127), f.BITMAP, 30, bitmap=bitmap,
                         low=values(n_bits).view(np.uint8))]),
    ]
    if model.has_biases:
        found.append(("biases", "bias", _biases(rng, model)))
    return [Adapter(model.crc, content, method, layers, 7, 12345, 3, -2, 1, 1, 2, 8,
                    model.names if i % 2 else ()) for i, (content, method, layers) in
            enumerate(found)]


def _biases(rng: np.random.Generator, model: Model) -> list[AdapterLayer]:
    return [AdapterLayer(s.index, rng.integers(-5000, 5000, s.n_out).astype(np.int32))
            for s in model.weight_stages if s.bias is not None]


def whole_adapters(model: Model) -> list[Adapter]:
    """Of every method that trains all edges of its layers: a Trainer can load them."""
    rng = np.random.default_rng(6)
    added = ("added",) * (len(model.spare) > 0)
    stages = model.with_classes(added).weight_stages
    names = model.names + added if added else ()
    found = []
    for content, method, low in (("scores", "priot", -128), ("gains", "gain", -128),
                                 ("weights", "weights", -127), ("weights", "niti", -127),
                                 ("weights", "head", -127),
                                 ("weights16", "weights16", -127)):
        layers = [AdapterLayer(stage.index, rng.integers(low, 128, stage.weights.size).astype(
            np.int8), threshold=64) for stage in stages[-1 if method == "head" else 0 :]]
        if content == "weights16":
            for layer in layers:
                layer.low = rng.integers(0, 256, len(layer.values), np.uint8)
        found.append(Adapter(model.crc, content, method, layers, 7, 12345, 3, 5,
                             *METHODS[method].start(model.has_biases), 2, 8, names))
    if model.has_biases:
        found.append(Adapter(model.crc, "biases", "bias", _biases(rng, model.with_classes(added)),
                             7, 12345, 3, 9, 1, 0, 2, 8, names))
    return found


def mutated(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """One to four changes anywhere: bits, bytes, pieces lost, moved, doubled, or of `other`."""
    bad = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not bad:
            break
        at, size = rng.randrange(len(bad)), min(len(bad), 1 << rng.randrange(8))
        choice = rng.randrange(9)
        if choice < 2:
            bad[at] ^= 1 << rng.randrange(8)
        elif choice == 2:
            bad[at] = rng.choice(_NUMBERS)
        elif choice == 3:
            del bad[at:]
        elif choice == 4:
            del bad[at : at + size]
        elif choice == 5:
            bad[at:at] = rng.randbytes(size) if rng.random() < 0.5 else bytes(size)
        elif choice == 6:
            bad[at : at + size] = rng.randbytes(size)
        elif choice == 7:  # two pieces change places
            there = rng.randrange(len(bad))
            bad[at : at + size], bad[there : there + size] = (
                bad[there : there + size], bad[at : at + size])
        else:
            source = other or data
            there = rng.randrange(len(source))
            bad[at : at + size] = source[there : there + size]
    return bytes(bad)


def seal(data: bytes) -> bytes:
    """The same bytes with a fitting file size and CRC32."""
    data = data[:8] + struct.pack("<I", len(data)) + data[12:]
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def damaged(rng: random.Random, data: bytes) -> bytes:
    """One to three changes of bytes, most of them in front of the payload; sealed."""
    bad = bytearray(data)
    n_head = struct.unpack_from("<H", data, 6)[0]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(4, n_head if rng.random() < 0.8 else len(bad))
        size = rng.choice((1, 1, 2, 4))
        if at + size > len(bad):
            continue
        old = int.from_bytes(bad[at : at + size], "little")
        new = rng.choice((rng.choice(_NUMBERS), old + 1, old - 1, rng.getrandbits(8 * size),
                          old ^ 1 << rng.randrange(8 * size), 0, -1))
        bad[at : at + size] = (new % (1 << 8 * size)).to_bytes(size, "little")
    if rng.random() < 0.1:
        at = rng.randrange(16, len(bad) + 1)
        bad[at:at] = rng.choice((b"\0", b"\x80", bytes(4), b"\x80" * 4, b"abcd"))
    elif rng.random() < 0.1:
        at = rng.randrange(16, len(bad))
        del bad[at : at + rng.choice((1, 4, 16, 64))]
    return seal(bytes(bad))


def renamed(rng: random.Random, data: bytes, at: int, n: int, field: int) -> bytes:
    """The n bytes of names at an offset damaged; header size and the `field` with n fit."""
    raw = bytearray(data[at : at + n])
    for _ in range(rng.randint(1, 2)):
        place = rng.randint(0, len(raw))
        raw[place : place + rng.randint(0, 4)] = rng.choice(_TEXTS)
    if rng.random() < 0.7:
        raw += bytes(pad4(len(raw)) - len(raw))
    bad = bytearray(data[:at] + raw + data[at + n :])
    struct.pack_into("<H", bad, 6, at + len(raw))
    struct.pack_into("<H", bad, field, len(raw))
    return seal(bytes(bad))


def rebuilt(rng: random.Random, model: Model) -> bytes:
    """A model with one or two fields changed."""
    other = copy.deepcopy(model)
    for _ in range(rng.randint(1, 2)):
        _change(rng, other)
    return pack_unchecked(other)


def pack_unchecked(model: Model) -> bytes:
    """A model file as its fields say, with offsets, exponents and weights that fit."""
    shape = model.shape
    payload, records, exponent = bytearray(), [], model.input_exponent
    for stage in model.stages:
        stage.shape_in = (int(np.prod(shape)), 1, 1) if stage.kind == f.LINEAR else shape
        at = len(payload)
        try:
            shape = stage.shape_out
            n = stage.n_out * stage.n_row if stage.has_weights else 0
        except (KeyError, ZeroDivisionError):
            n = stage.weights.size
        n = n if 0 <= n < 1 << 19 else stage.weights.size
        payload += to_offset(np.resize(stage.weights, n)).tobytes() + b"\x80" * (pad4(n) - n)
        exponent += stage.forward_shift - stage.weight_exponent
        record = bytearray(model_file._pack_record(_known(stage), exponent % 0x8000, 0))
        record[0] = stage.kind
        struct.pack_into("<h", record, 24, max(-0x8000, min(0x7FFF, exponent)))
        struct.pack_into("<I", record, 32, at if n else 0xFFFFFFFF)
        if stage.bias is not None:
            struct.pack_into("<I", record, 36, len(payload))
            payload += np.resize(stage.bias, stage.n_out).astype("<i4").tobytes()
        records.append(bytes(record))
    names = b"".join(name.encode() + b"\0" for name in model.names)
    names += bytes(pad4(len(names)) - len(names))
    table = model_file.TABLE.pack(
        model.name.encode(), *model.shape, model.classes, model.loss, 0, model.input_exponent, 0,
        len(records), len(names), model.scale, model.zero, len(payload), 0,
        model.target_exponent, 0)
    tables = b"".join([table, *records, names])
    prefix = struct.pack("<4sHHII", b"PRIM", 2, 16 + len(tables), 0, 0)
    return seal(prefix + tables + payload)


def _known(stage: Stage) -> Stage:
    """The stage, of a kind that can be packed."""
    return stage if stage.kind in f.KINDS else copy.copy(_as(stage, f.MAX_POOL))


def _as(stage: Stage, kind: int) -> Stage:
    other = copy.copy(stage)
    other.kind = kind
    return other


def _change(rng: random.Random, model: Model) -> None:
    stage = rng.choice(model.stages)

    def side() -> int:
        return rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 14, 15, 16))

    def pair() -> tuple[int, int]:
        n = side()
        return (n, n) if rng.random() < 0.8 else (n, side())

    changes: dict[str, Callable[[], object]] = {
        "kind": lambda: rng.choice((0, 1, 2, 3, 4, 5, 255)),
        "relu": lambda: not stage.relu,
        "n_out": lambda: rng.choice((0, 1, 2, 3, 4, 8, 255, 600, 0xFFFF)),
        "kernel": pair, "stride": pair, "window": pair, "window_stride": pair,
        "padding": lambda: (rng.choice((0, 1, 2, 3)),) * 4 if rng.random() < 0.8 else (0, 1, 0, 1),
        "groups": lambda: rng.choice((0, 1, 2)),
        "a": lambda: rng.choice((-3, -2, -1, 0, 1, 2)),
        "b": lambda: rng.choice((-3, -2, -1, 0)),
        "largest": lambda: rng.choice((0, 6, 126, 127, 128)),
        "b_shift": lambda: rng.choice((-1, 0, 1)),
        "weight_exponent": lambda: rng.choice((-128, -1, 0, 1, 127)),
        "forward_shift": lambda: rng.choice((0, 1, 30, 31, 255)),
        "backward_shift": lambda: rng.choice((0, 1, 30, 31, 255)),
        "update_bits_weights": lambda: rng.choice((0, 1, 31, 32)),
        "update_bits_scores": lambda: rng.choice((0, 1, 31, 32)),
        "update_bits_bias": lambda: rng.choice((0, 1, 32)),
    }
    whole: dict[str, Callable[[], object]] = {
        "shape": lambda: tuple(rng.choice((0, 1, 2, 7, 12, 200, 0xFFFF)) if rng.random() < 0.4
                               else n for n in model.shape),
        "classes": lambda: rng.choice((0, 1, 2, 3, 5, 256, 257)),
        "loss": lambda: rng.choice((0, 1, 2, 3)),
        "target_exponent": lambda: rng.choice((-128, -5, 0, 127)),
        "input_exponent": lambda: rng.choice((-128, -7, 0, 127)),
        "name": lambda: rng.choice(("x", "", "a\nb", "\u00e4" * 8, "\u20ac" * 5)),
        "names": lambda: rng.choice(((), NAMES[: model.classes], NAMES[:2], ("a",) * 3,
                                     ("",) * model.classes, ("x" * 63,) * model.classes,
                                     ("x" * 64,) * model.classes)),
    }
    if rng.random() < 0.2:
        name = rng.choice(list(whole))
        setattr(model, name, whole[name]())
    else:
        name = rng.choice(list(changes))
        setattr(stage, name, changes[name]())


def forged_models(seed: int, n: int) -> Iterator[bytes]:
    """n model files, most of them forged; some are good."""
    rng = random.Random(seed)
    made = models()
    for _ in range(n):
        model = rng.choice(made)
        chance = rng.random()
        if chance < 0.5:
            yield rebuilt(rng, model)
        elif chance < 0.65:
            data = model.to_bytes()
            at = 64 + 64 * len(model.stages)
            yield renamed(rng, data, at, struct.unpack_from("<H", data, 46)[0], 46)
        else:
            yield damaged(rng, model.to_bytes())


def forged_datasets(seed: int, n: int) -> Iterator[bytes]:
    """n dataset files, most of them forged."""
    rng = random.Random(seed)
    made = [dataset.to_bytes() for dataset in datasets()]
    for _ in range(n):
        data = rng.choice(made)
        yield (renamed(rng, data, 48, struct.unpack_from("<H", data, 32)[0], 32)
               if rng.random() < 0.3 else damaged(rng, data))


def forged_adapters(seed: int, n: int, model: Model) -> Iterator[bytes]:
    """n adapter files for a model, most of them forged."""
    rng = random.Random(seed)
    made = [adapter.to_bytes() for adapter in adapters(model)]
    for _ in range(n):
        data = rng.choice(made)
        (layers,), (names,) = (struct.unpack_from("<H", data, at) for at in (22, 40))
        yield (renamed(rng, data, 48 + 16 * layers, names, 40)
               if rng.random() < 0.25 else damaged(rng, data))

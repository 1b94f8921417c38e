"""Reads many files that lie in one: readers.py KIND BACKEND BLOB SCRATCH [MODEL].

BLOB: u32 length and bytes of each. A line a file: "accepted", "refused TEXT" or "crashed ERROR".
What is accepted is used too, and the CRC32 of its logits follows: a model predicts and trains, an
adapter is put in force, loaded by a Trainer, and leaves the backbone as it was.
"""

import struct
import sys
from binascii import crc32

import priot
from priot import backend
from priot.adapter_reader import Reader
from priot.methods import METHODS
from priot.model_file import Description

kind, wanted, blob, scratch = sys.argv[1:5]
backend.use(wanted)
net = priot.load(sys.argv[5]) if len(sys.argv) > 5 else None
names = [row[0] for row in METHODS]


def read():
    """Read the file; the number of its method, of an adapter."""
    if kind == "model":
        with open(scratch, "rb") as f:
            description = Description(f, scratch)
            description.check_weights(scratch, f.read(description.weight_bytes))
    elif kind == "dataset":
        with priot.Dataset(scratch) as dataset:
            len(dataset.names)
            dataset.read(len(dataset) - 1, bytearray(dataset.record_bytes))
    else:
        with Reader(scratch, net) as reader:
            return reader.method.name


def logits(network):
    """CRC32 of the logits of some images, black and bright ones too."""
    crc = 0
    n = len(network.x)
    for image in (bytes(n), bytes([127] * n), bytes([(37 * i + 11) & 127 for i in range(n)])):
        network.predict(image)
        crc = crc32(network.logits, crc)
    return crc


def learn(network, trainer):
    """A few samples, every label at least once."""
    n = len(network.x)
    for label in range(min(4, network.n_classes)):
        target = [label] * network.n_targets if network.n_targets else label
        trainer.learn(bytes([(i * (7 + label)) & 127 for i in range(n)]), target)
    repr(trainer)


def use(number, method):
    """Compute with what was read; its logits, and what else is wrong."""
    if kind == "dataset":
        return 0
    if kind == "model":
        network = priot.load(scratch)
        found = logits(network)
        repr(network)
        try:
            learn(network, priot.Trainer(network, names[number % len(names)]))
        except ValueError:
            pass  # depthwise layers alone, branches
        network.reset()
        if logits(network) != found:
            raise RuntimeError("not the backbone after training")
        return found
    before = logits(net)
    net.apply(scratch, ("kept", "small")[number & 1])
    found = logits(net)
    net.reset()
    try:
        trainer = priot.Trainer(net, method)
        trainer.load(scratch)
        learn(net, trainer)
    except ValueError:
        pass  # of fewer layers, or other edges
    net.reset()
    if logits(net) != before:
        raise RuntimeError("not the backbone after reset")
    return found


number = 0
with open(blob, "rb") as files:
    while True:
        head = files.read(4)
        if not head:
            break
        with open(scratch, "wb") as f:
            f.write(files.read(struct.unpack("<I", head)[0]))
        number += 1
        try:
            method = read()
        except (ValueError, OSError) as e:
            text = str(e)
            good = text.startswith(scratch + ":") and "\n" not in text
            print("refused" if good else "unclear", text)
            continue
        except Exception as e:
            print("crashed", repr(e))
            continue
        try:
            print("accepted", use(number, method))
        except MemoryError:
            print("accepted")  # too large for this heap
        except Exception as e:
            print("useless", repr(e))

"""Reads many files that lie in one: readers.py KIND BLOB SCRATCH [MODEL].

BLOB: u32 length and bytes of each. A line a file: "accepted", "refused TEXT" or "crashed ERROR".
What is accepted is used too: a model predicts, an adapter is put in force.
"""

import struct
import sys

import priot
from priot import backend
from priot.adapter_reader import Reader
from priot.model_file import Description

kind, blob, scratch = sys.argv[1:4]
backend.use("portable")
net = priot.load(sys.argv[4]) if len(sys.argv) > 4 else None


def read():
    if kind == "model":
        with open(scratch, "rb") as f:
            description = Description(f, scratch)
            description.check_weights(scratch, f.read(description.weight_bytes))
    elif kind == "dataset":
        with priot.Dataset(scratch) as dataset:
            len(dataset.names)
            dataset.read(len(dataset) - 1, bytearray(dataset.record_bytes))
    else:
        Reader(scratch, net).close()


def use():
    if kind == "model":
        network = priot.load(scratch)
        network.predict(bytes(len(network.x)))
        repr(network)
    elif kind == "adapter":
        net.apply(scratch)
        net.predict(bytes(len(net.x)))
        net.reset()


with open(blob, "rb") as files:
    while True:
        head = files.read(4)
        if not head:
            break
        with open(scratch, "wb") as f:
            f.write(files.read(struct.unpack("<I", head)[0]))
        try:
            read()
        except (ValueError, OSError) as e:
            text = str(e)
            good = text.startswith(scratch + ":") and "\n" not in text
            print("refused" if good else "unclear", text)
            continue
        except Exception as e:
            print("crashed", repr(e))
            continue
        try:
            use()
            print("accepted")
        except MemoryError:
            print("accepted")  # too large for this heap
        except Exception as e:
            print("useless", repr(e))

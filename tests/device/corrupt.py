"""Reads every damaged version of a file: each truncation and each single flipped bit.

corrupt.py KIND GOOD SCRATCH [MODEL]: prints the number of damaged files that were refused, then
each one that was not, or that ended in another error than a single line naming the file.
"""

import sys

import priot

kind, good, scratch = sys.argv[1:4]
model = sys.argv[4] if len(sys.argv) > 4 else None
net = priot.load(model) if model else None


def read(path):
    if kind == "model":
        priot.load(path)
    elif kind == "dataset":
        priot.Dataset(path).close()
    else:
        net.apply(path)


def attempt(what):
    try:
        read(scratch)
    except (ValueError, OSError) as e:
        text = str(e)
        if text.startswith(scratch + ":") and "\n" not in text:
            return 1
        print("unclear", what, text)
        return 0
    except Exception as e:
        print("crashed", what, repr(e))
        return 0
    print("accepted", what)
    return 0


def write(data):
    with open(scratch, "wb") as f:
        f.write(data)


with open(good, "rb") as f:
    data = bytearray(f.read())
read(good)
refused = 0
for n in range(len(data)):
    write(data[:n])
    refused += attempt("truncated at %d" % n)
for i in range(len(data)):
    for bit in range(8):
        data[i] ^= 1 << bit
        write(data)
        refused += attempt("bit %d of byte %d flipped" % (bit, i))
        data[i] ^= 1 << bit
write(bytes(data) + b"\0")
refused += attempt("one byte appended")
print("refused", refused, "of", 9 * len(data) + 1)

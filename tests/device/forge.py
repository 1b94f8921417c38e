"""Reads forged files, whose CRC32 is right, and prints what each ended in.

forge.py KIND MODEL FILE...: one line a file: "refused TEXT", "accepted" or "crashed ERROR".
"""

import sys

import priot

kind, model = sys.argv[1:3]
net = priot.load(model)
for path in sys.argv[3:]:
    try:
        if kind == "model":
            priot.load(path).predict(bytes(len(net.x)))
        elif kind == "dataset":
            net_test = priot.Trainer(net).evaluate(path)
        else:
            net.apply(path)
    except (ValueError, OSError, MemoryError) as e:
        print("refused", e)
    except Exception as e:
        print("crashed", repr(e))
    else:
        print("accepted")

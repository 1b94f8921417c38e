"""Runs cases of the kernels that read weights from flash: flash_kernels.py MODULE CASES.

CASES: JSON, a list of cases as test_flash.py makes them. Prints a list of what each gave.
"""

import json
import sys
from array import array
from binascii import hexlify, unhexlify


def run(kernels, case):
    """[bytes of every call in hex, after those of columns the cursors; sum of what the calls of
    rows returned]."""
    flash, scores, select = [bytearray(unhexlify(case[name]))
                             for name in ("flash", "scores", "select")]
    d, pieces = array("i", case["d"]), array("I", case["pieces"])
    row, rows, n_row, n_out = [case[name] for name in ("ROW", "ROWS", "N_ROW", "N_OUT")]
    checks = array("I", case["checks"])
    found, wrong = [], 0
    for first in range(0, n_out, case["rows"]):
        d[row], d[rows] = first, min(case["rows"], n_out - first)
        weff = bytearray(d[rows] * n_row)
        wrong += kernels.flash_rows((weff, checks, flash, pieces, scores, select, d))
        found.append(str(hexlify(weff), "ascii"))
    d[row], d[rows] = 0, n_out
    cursors = array("i", bytes(8 * n_out if len(select) else 0))
    for first in range(0, n_row, case["columns"]):
        weff = bytearray(n_out * min(case["columns"], n_row - first))
        kernels.flash_columns((weff, cursors, flash, pieces, scores, select, d), first)
        found.append(str(hexlify(weff), "ascii"))
        found.append(list(cursors))
    return [found, wrong]


if __name__ == "__main__":
    module = __import__(sys.argv[1])
    for name in sys.argv[1].split(".")[1:]:
        module = getattr(module, name)
    with open(sys.argv[2]) as f:
        print(json.dumps([run(module, case) for case in json.load(f)]))

"""Calls every native kernel with the heap locked: a call that allocates raises MemoryError.

    micropython locked.py CASES

Prints the names of the kernels of a file of cases (cases.py).
"""

import struct
import sys

import micropython
import priot_portable
from runner import add_scratch, read_case, views_of


def main():
    with open(sys.argv[1], "rb") as f:
        n_cases, = struct.unpack("<I", f.read(4))
        for _ in range(n_cases):
            name, operands, label, _continues = read_case(f)
            add_scratch(priot_portable, name, operands)
            views = views_of(operands)
            function = getattr(priot_portable, name)
            micropython.heap_lock()
            if name == "cross_entropy":
                function(views, label)
            else:
                function(views)
            micropython.heap_unlock()
            print(name)


if __name__ == "__main__":
    main()

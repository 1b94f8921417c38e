"""Calls every native kernel with the heap locked: a call that allocates raises MemoryError.

    micropython locked.py CASES

Prints the names of the kernels of a file of cases (cases.py).
"""

import struct
import sys

import micropython
import priot_portable
from runner import Call


def main():
    with open(sys.argv[1], "rb") as f:
        n_cases, = struct.unpack("<I", f.read(4))
        for _ in range(n_cases):
            call = Call(f)
            call.put_scratch(priot_portable)
            views = call.views()
            micropython.heap_lock()
            call.run(priot_portable, views)
            micropython.heap_unlock()
            print(call.name)


if __name__ == "__main__":
    main()

"""Print the heap that a firmware of the rp2 port has: `heap_of_image.py firmware.elf`.

The linked image says where the heap begins and ends. MicroPython divides it, beside a byte, into
groups of four blocks of 16 bytes with a byte that says what is in use and half a byte of
finalisers (gc_setup_area): gc.mem_alloc() + gc.mem_free() is what the blocks have.
"""
import subprocess
import sys

_GROUP_BYTES = 64
_TABLES_BYTES = 1.5  # of a group


def heap_bytes(image: str) -> int:
    """Bytes of heap that MicroPython has at its prompt. Raises CalledProcessError."""
    listed = subprocess.run(["arm-none-eabi-nm", image], check=True, capture_output=True,
                            text=True).stdout
    symbols = {line.split()[-1]: line.split()[0] for line in listed.splitlines()}
    size = int(symbols["__GcHeapEnd"], 16) - int(symbols["__GcHeapStart"], 16)
    return int((size - 1) / (_GROUP_BYTES + _TABLES_BYTES)) * _GROUP_BYTES


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(f"{path}: {heap_bytes(path):,} bytes of heap")

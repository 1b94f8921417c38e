"""What shares a block of memory: pieces are placed by their lifetimes."""

from .memory import aligned, allocate

ALWAYS = 1 << 20  # the last moment of what lives as long as its block


class Block:
    """Pieces of one block. Two whose lifetimes do not meet may lie in the same place.

    `want` every piece, `place` them, then `take` the block; `views` are in the order of `want`.
    """

    def __init__(self):
        self.pieces = []  # [bytes, first moment, last moment, offset]
        self.size = 0

    def want(self, n_bytes, first=0, last=ALWAYS):
        """Ask for n_bytes from moment `first` to `last`, both included; returns its number."""
        self.pieces.append([n_bytes, first, last, 0])
        return len(self.pieces) - 1

    def place(self):
        """Give every piece its offset, a multiple of 4; returns the bytes of the block.

        First fit, the largest first: a piece goes to the lowest place where nothing lies that
        lives at the same time.
        """
        placed = []
        self.size = 0
        n = len(self.pieces)
        # of equals the first: sorting is not stable
        for number in sorted(range(n), key=lambda i: i - n * self.pieces[i][0]):
            piece = self.pieces[number]
            n_bytes, first, last, _ = piece
            offset = 0
            if not n_bytes:
                continue
            for other in placed:  # by rising offsets
                if other[3] >= offset + n_bytes:
                    break
                if other[1] <= last and first <= other[2]:
                    offset = max(offset, aligned(other[3] + other[0]))
            piece[3] = offset
            i = len(placed)
            while i and placed[i - 1][3] > offset:
                i -= 1
            placed.insert(i, piece)
            self.size = max(self.size, aligned(offset + n_bytes))
        return self.size

    def take(self, where):
        """Allocate the block; returns a view of each piece. MemoryError."""
        view = memoryview(allocate(self.size, where))
        return [view[offset:offset + n_bytes] for n_bytes, _, _, offset in self.pieces]

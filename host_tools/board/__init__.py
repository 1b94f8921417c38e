"""A board at a serial port: files, jobs and results, over mpremote's transport.

    from host_tools.board import Board
"""

from host_tools.board.board import Board
from host_tools.board.errors import BoardError, BoardGone, BoardRefused

__all__ = ["Board", "BoardError", "BoardGone", "BoardRefused"]

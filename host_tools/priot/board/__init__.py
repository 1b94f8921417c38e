"""A board at a serial port: files, jobs and results, over mpremote's transport."""

from priot.board.board import Board
from priot.board.errors import BoardError, BoardGone, BoardRefused

__all__ = ["Board", "BoardError", "BoardGone", "BoardRefused"]

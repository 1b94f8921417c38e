"""A board at a serial port: files, jobs and results, over mpremote's transport."""

from priot.board.board import Board
from priot.board.errors import BoardBusy, BoardError, BoardGone, BoardRefused

__all__ = ["Board", "BoardBusy", "BoardError", "BoardGone", "BoardRefused"]

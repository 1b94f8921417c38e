"""A board without an emulator: MicroPython's unix port, its flash a file, its power cut at will."""

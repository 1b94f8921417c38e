"""A board without an emulator: the unix port, its flash a file, its power cut at will."""

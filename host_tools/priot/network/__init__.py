"""Layers, the line that describes them, and the stages they are run in."""

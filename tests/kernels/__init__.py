"""Kernel cases with their expected answers, and the runner that any backend can execute."""

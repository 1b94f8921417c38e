"""Experiments: a TOML file that asks for a grid of runs, the runs, their table and plots.

The specifications of this repository's tables lie here, each with its results: SPEC.jsonl, a line
per run, and SPEC.md, the table made from them.
"""

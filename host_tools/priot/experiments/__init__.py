"""Experiments: a TOML file that asks for a grid of runs, the runs, their table and plots."""

"""Sounds, and the runner that computes their log-mel columns on any backend."""

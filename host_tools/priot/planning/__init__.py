"""What a model and a method need of a board's flash and heap: exact blocks, measured rules."""

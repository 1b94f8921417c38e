"""Every kernel, the training step and the choice of edges in numpy: the truth."""

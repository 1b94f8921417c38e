"""Data, pretraining, quantisation, running and reports on the host: the command `priot`."""

"""What tests/test_armv6m.py runs the kernels of the Cortex-M0+ with."""

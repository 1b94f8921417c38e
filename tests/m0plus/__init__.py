"""A simulator of the Cortex-M0+ that counts cycles exactly, for the tests of native/armv6m."""

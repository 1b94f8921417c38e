"""The subcommands of `priot`, one a file: options, and what is printed."""

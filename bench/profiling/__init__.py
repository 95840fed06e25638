"""Where the CPU time of a call goes; `python -m bench.profiling --help`."""

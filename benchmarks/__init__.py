"""Benchmarks of jitgrad against hand-written Numba and its peers: `python -m benchmarks`."""

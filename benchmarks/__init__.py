"""Side-by-side timings of jaxrnn and its peers: ``python -m benchmarks``."""

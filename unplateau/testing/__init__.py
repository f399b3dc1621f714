"""Small problems and planted faults for tests and benchmarks. It may import everything; nothing of the package imports it."""

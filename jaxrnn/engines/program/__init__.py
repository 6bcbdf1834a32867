"""A step of a cell as a program of few operations, for kernels that run any cell."""

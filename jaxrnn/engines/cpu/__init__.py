"""Native kernels on a CPU: C++ in native/, loaded when they are asked for."""

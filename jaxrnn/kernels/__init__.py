"""Fast forms of `jaxrnn.unroll`, each for one platform; loaded when they are asked for."""

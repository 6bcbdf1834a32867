"""What a cell and a layer are, and the derivative of an unroll; imported by every other part."""

"""Convolutional cells, whose state is a picture. One file per cell."""

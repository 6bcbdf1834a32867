"""Gated cells, and the plain recurrent cell. One file per cell."""

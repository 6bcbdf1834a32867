"""Cells made from differential equations. One file per cell."""

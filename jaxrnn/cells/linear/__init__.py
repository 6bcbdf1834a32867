"""Cells that are linear in their state, which run in parallel over time. One file per cell."""

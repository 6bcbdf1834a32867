"""Gated cells, and the plain recurrent cell, one a file."""

"""What every kernel of a whole recurrence shares: its operands, its derivative, its `jax.vmap`."""

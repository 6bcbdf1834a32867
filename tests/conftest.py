import jax

# Laws are checked in float64, and nothing may be promoted silently.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

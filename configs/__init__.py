"""The recipes: `smnet train NAME` runs NAME.py. Each is a variant of `smnet_jax.training.config.Config`."""

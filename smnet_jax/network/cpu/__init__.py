"""Products and convolutions as XLA's CPU backend likes them."""

"""Weights on disk: our directory, PyTorch's files, and the names in both."""

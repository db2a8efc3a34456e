"""Training data: sources of picture pairs and the one pipeline that turns them into batches.

A source is anything with `len(source)` and `source[i] -> {"low", "high", "name"}` (see sources.py). Nothing here
imports JAX: batches are numpy arrays, and process numbers are passed in.
"""

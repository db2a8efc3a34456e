"""Compiled for accelerators that are not there, and read instead of run."""

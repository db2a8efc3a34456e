"""Measurements: one file per sub-command of `smnet bench`, which prints, and writes JSON and a chart.

Each has SUMMARY, `add_arguments(parser)` and `run(args) -> exit code`, and imports what is heavy only in `run`.
"""

"""Scores of enhanced pictures, each under a named protocol: `smnet evaluate` and its parts.

columns.py names what can be computed, protocol.py computes it, folders.py finds the pictures, runner.py drives
network and metrics over the devices, results.py holds the numbers and writes JSON and CSV, table.py and report.py
show them.
"""

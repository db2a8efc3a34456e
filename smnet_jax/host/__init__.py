"""The machine that runs Python: its files, its memory, its compile cache."""

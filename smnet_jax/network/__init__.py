"""The network: its definition, how compilers like it, and how far a pixel sees."""

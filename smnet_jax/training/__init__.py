"""Training SMNet: one pure step (`step`), its devices (`parallel`), the loop that survives being killed (`loop`)."""

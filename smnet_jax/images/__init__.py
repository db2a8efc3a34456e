"""Pictures as strangers make them: read, converted to RGB in [0, 1], and written."""

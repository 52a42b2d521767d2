"""A model executed at points, and beside it the theorem about every execution that a runtime profile allows."""

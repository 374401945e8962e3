"""The pipelines of an instrument."""

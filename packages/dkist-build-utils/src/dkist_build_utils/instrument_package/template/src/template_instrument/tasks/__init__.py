"""The tasks: what is done. Nothing is imported here, so that importing one task imports no other."""

"""The tasks, one module each.

Nothing is imported here: a task's environment holds what that task needs, so importing one must not import the others.
"""

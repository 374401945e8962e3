"""The workflows, one module each.

They need ``dkist-workflow`` (the extra ``workflow``), which no task's environment holds: no task may import them.
"""

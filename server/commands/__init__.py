"""What operators type: one module for each command of `python -m server`.

A module says in its first line what the command does, adds its arguments in `add`, and does it in `run`, which answers
the exit status. What goes wrong is raised as CommandError, SettingsError or EmbeddedError: one line for the operator.
"""

"""What operators are told instead of a traceback."""


class CommandError(Exception):
    """A command that cannot do what it is told; its message is one line that says what to do."""

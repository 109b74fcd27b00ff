"""The errors that are meant for a user."""

import sys
from collections.abc import Callable

EXIT_CODES = "Exit codes: 0 all done, 1 some photos failed (the others are done), 2 wrong usage."


class CorrosegError(Exception):
    """Something about the input is wrong. The message names the file and the cure."""


class ModelError(CorrosegError):
    """A model file that cannot be used. The message names the file and the cure."""


def exit_code(command: Callable[[], object]) -> int:
    """Run a command: 0, or 2 after an error that is meant for the user, which is printed."""
    try:
        command()
    except (CorrosegError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0

"""The errors that are meant for a user."""

import sys
from collections.abc import Callable

STOPPED = 130  # exit code after Ctrl-C, as shells give it
EXIT_CODES = "Exit codes: 0 all done, 1 some photos failed (the others are done), 2 wrong usage."


class CorrosegError(Exception):
    """Something about the input is wrong. The message names the file and the cure."""


class ModelError(CorrosegError):
    """A model file that cannot be used. The message names the file and the cure."""


def exit_code(command: Callable[[], object]) -> int:
    """Run a command: 0, 2 after an error that is meant for the user, which is printed, or STOPPED."""
    try:
        command()
    except KeyboardInterrupt:
        print("\nStopped. What was finished is kept.", file=sys.stderr)
        return STOPPED
    except (CorrosegError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0

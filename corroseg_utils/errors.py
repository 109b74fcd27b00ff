"""The base of all errors that are meant for a user."""


class CorrosegError(Exception):
    """Something about the input is wrong. The message names the file and the cure."""

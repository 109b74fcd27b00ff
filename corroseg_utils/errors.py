"""The errors that are meant for a user."""


class CorrosegError(Exception):
    """Something about the input is wrong. The message names the file and the cure."""


class ModelError(CorrosegError):
    """A model file that cannot be used. The message names the file and the cure."""

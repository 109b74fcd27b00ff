"""Values of command-line options: each function turns a text into a value, or says what is wrong with it."""

from argparse import ArgumentTypeError


def probability(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text, float, "such as 0.45")
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def inner_probability(text: str) -> float:
    """A number above 0 and below 1."""
    value = probability(text)
    if value in (0, 1):
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def crop_side(text: str) -> float:
    """Side of a crop, as a share of the photo's: above 0, at most 1."""
    value = probability(text)
    if not value:
        raise ArgumentTypeError("a side of 0 leaves nothing to see")
    return value


def scale(text: str) -> float:
    """Scale at which a network sees a photo tile by tile: 0.05 to 1."""
    value = probability(text)
    if value < 0.05:  # of a photo of 48 megapixels 400 pixels would be left, no more than the whole view shows
        raise ArgumentTypeError(f"{text} is below 0.05. Leave --scale out: the view of the whole photo shows more")
    return value


def seconds(text: str) -> float:
    """A time limit: above 0, at most a day."""
    value = _number(text, float, "such as 60")
    if not 0 < value <= 86_400:
        raise ArgumentTypeError(f"{text} is not above 0 and at most 86400, a day")
    return value


def count(text: str) -> int:
    """A whole number from 1 on."""
    value = _number(text, int, "such as 10")
    if value < 1:
        raise ArgumentTypeError(f"{text} is below 1")
    return value


def seed(text: str) -> int:
    """A seed as Keras and NumPy take it."""
    value = _number(text, int, "such as 0")
    if not 0 <= value < 2**32:
        raise ArgumentTypeError(f"{text} is not from 0 to 4294967295")
    return value


def side(text: str) -> int:
    """Side of a network's input in pixels, a multiple of 32."""
    value = count(text)
    if value % 32:
        raise ArgumentTypeError(f"{text} is no multiple of 32, by which the networks divide")
    return value


def weight(text: str) -> tuple[str, float]:
    """SOURCE=W, how often photos of a source are drawn: its name, and a number from 0 on."""
    source, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text} is not like web=0.5, with a number from 0 on")
    return source, value


def style(text: str) -> tuple[str, float | None]:
    """SOURCE or SOURCE=T: the name of a source, and its threshold, if it has one."""
    source, sign, threshold = text.partition("=")
    try:
        return source, inner_probability(threshold) if sign else None
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{text} is not like web, or web=0.4 with a threshold between 0 and 1") from error


def _number(text: str, kind: type, example: str):
    try:
        return kind(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no {'whole ' if kind is int else ''}number, {example}") from error

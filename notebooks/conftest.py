"""How `pytest --nbval` compares the lessons, for all of them in one place."""


def pytest_collectstart(collector):
    """Leave two kinds of output out of the comparison.

    stderr holds warnings and log lines that differ between library versions and machines: one new deprecation
    warning would fail a lesson whose results are right. An animation is bytes, as PNG and JPEG are, which
    nbval itself leaves out; the line of text that follows every figure is compared instead.
    """
    if getattr(collector, "skip_compare", None) is not None:
        collector.skip_compare += ("stderr", "image/gif")

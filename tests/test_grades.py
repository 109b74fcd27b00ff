import math

import pytest

from corroseg_utils.grades import (
    D610_LIMITS,
    d610_grade,
    d610_name,
    grade,
    imo_condition,
    iso4628_grade,
    rust_distribution,
)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 10), (0.01, 10), (0.011, 9), (0.03, 9), (0.1, 8), (0.3, 7), (0.31, 6), (1, 6), (3, 5), (10, 4),
     (10.1, 3), (16, 3), (33, 2), (50, 1), (50.001, 0), (100, 0)],
)
def test_d610_limit_belongs_to_better_grade(percent, expected):
    assert d610_grade(percent) == expected


def test_d610_just_above_each_limit_is_one_worse():
    for limit in D610_LIMITS:
        assert d610_grade(math.nextafter(limit, 100)) == d610_grade(limit) - 1


def test_d610_counts_of_pixels_meet_the_limits_exactly():
    assert d610_grade(100 * 1 / 10_000) == 10
    assert d610_grade(100 * 3 / 10_000) == 9
    assert d610_grade(100 * 1_000_000 / 2_000_000) == 1


@pytest.mark.parametrize(
    ("areas", "letter"),
    [
        ([], ""),
        ([5.0], "S"),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "S"),  # three of six hold exactly half
        ([1.0] * 7, "G"),
        ([0.01] * 50, "P"),
        ([0.0101] * 50, "G"),
        ([0.1] * 4 + [0.005] * 200, "P"),  # 0.4 in four spots, 1.0 in specks
        ([0.1] * 20 + [0.005] * 200, "G"),  # 2.0 in spots, 1.0 in specks
        ([0.25] * 8 + [0.0078125] * 256, "P"),  # 2.0 in each: just half is enough
    ],
)
def test_rust_distribution(areas, letter):
    assert rust_distribution(areas) == letter


def test_d610_letter_is_missing_for_10_and_0():
    assert d610_name(0.005, [0.005]) == "10"
    assert d610_name(60, [60]) == "0"
    assert d610_name(5, [5]) == "4-S"
    assert d610_name(5) == "4"


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 0), (1e-6, 1), (0.05, 1), (0.158, 1), (0.159, 2), (0.5, 2), (0.707, 2), (0.708, 3), (1, 3),
     (2.82, 3), (2.83, 4), (8, 4), (17.8, 4), (17.9, 5), (45, 5), (50, 5), (100, 5)],
)
def test_iso4628_is_nearest_reference_picture_in_log_area(percent, expected):
    assert iso4628_grade(percent) == expected


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, "GOOD"), (2.999, "GOOD"), (3, "FAIR"), (20, "FAIR"), (20.001, "POOR"), (100, "POOR")],
)
def test_imo_condition(percent, expected):
    assert imo_condition(percent) == expected


@pytest.mark.parametrize("function", [d610_grade, iso4628_grade, imo_condition])
@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan, math.inf])
def test_a_share_outside_0_to_100_is_an_error(function, percent):
    with pytest.raises(ValueError, match="0..100"):
        function(percent)


def test_grade_gives_all_three():
    assert grade(5.0, [2.0, 2.0, 1.0]) == ("4-S", "Ri 4", "FAIR")

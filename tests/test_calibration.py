import numpy as np
import pandas as pd
import pytest

from corroseg_utils.calibration import calibration_error, fit_temperature, reliability, with_temperature


def test_reliability_by_hand():
    truth = np.array([[True, False, True], [True, False, False]])
    probability = np.array([[1.0, 0.95, 0.97], [0.12, 0.1, 0.3]], np.float32)
    table = reliability([(truth[:1], probability[:1]), (truth[1:], probability[1:])])
    assert table["pixels"].tolist() == [0, 2, 0, 1, 0, 0, 0, 0, 0, 3]
    assert table["probability"][[1, 3, 9]].tolist() == pytest.approx([0.11, 0.3, 2.92 / 3])
    assert table["corroded"][[1, 3, 9]].tolist() == pytest.approx([1 / 2, 0, 2 / 3])
    assert table["probability"].isna().sum() == 7
    expected = (2 * abs(0.11 - 1 / 2) + 0.3 + 3 * abs(2.92 / 3 - 2 / 3)) / 6
    assert calibration_error(table) == pytest.approx(expected)


def test_calibration_error_of_an_honest_model_is_0():
    assert calibration_error(pd.DataFrame({"probability": [0.2, np.nan], "corroded": [0.2, np.nan],
                                           "pixels": [5, 0]})) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_planted_is_found(temperature):
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, 200_000)
    truth = rng.random(honest.shape) < honest
    odds = (honest / (1 - honest)) ** temperature  # too sure where the temperature is above 1
    stated = odds / (1 + odds)
    assert fit_temperature(truth, stated) == pytest.approx(temperature, rel=0.03)
    mended = with_temperature(stated, temperature)
    assert mended == pytest.approx(honest, abs=1e-4) and mended.dtype == np.float32
    if temperature != 1:
        before, after = (calibration_error(reliability([(truth, p)])) for p in (stated, mended))
        assert after < before / 5


def test_a_temperature_by_hand():
    # Odds 9:1 to the power of 1/2 are 3:1.
    assert with_temperature(np.array([0.9, 0.5, 0.1]), 2) == pytest.approx([0.75, 0.5, 0.25])
    assert np.isfinite(with_temperature(np.array([0.0, 1.0]), 0.1)).all()


def test_one_class_has_no_best_temperature():
    for truth in (np.zeros(4, bool), np.ones(4, bool)):
        with pytest.raises(ValueError, match="of one class"):
            fit_temperature(truth, np.full(4, 0.3))

import matplotlib

matplotlib.use("Agg")  # before anything draws

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.figures import (
    colour_mask,
    plot_history,
    save_gif,
    show_overlays,
    show_pictures,
    show_predictions,
)
from corroseg_utils.overlay import COLOURS, FALSE_ALARM, HIT, MISS, error_map, outline, overlay


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


PHOTO = np.full((6, 6, 3), 100, np.uint8)
MASK = np.zeros((6, 6), np.uint8)
MASK[1:5, 1:5] = 1


def test_an_overlay_tints_the_inside_draws_the_outline_and_leaves_the_rest():
    edge = outline(MASK)
    assert edge.sum() == 12 and not edge[2:4, 2:4].any()  # a ring
    tinted = overlay(PHOTO, MASK, 0.5)
    assert (tinted[MASK == 0] == 100).all()
    assert (tinted[edge] == COLOURS[1]).all()
    assert (tinted[2, 2] == (100 * 0.5 + COLOURS[1] * 0.5).astype(np.uint8)).all()
    assert (PHOTO == 100).all()  # the photo given is left alone
    assert overlay(PHOTO, MASK, 0.25)[2, 2].tolist() == [75, 114, 133]  # three quarters photo, a quarter (0, 158, 235)


def test_overlays_of_bool_empty_and_full_masks():
    assert np.array_equal(overlay(PHOTO, MASK > 0), overlay(PHOTO, MASK))
    assert np.array_equal(overlay(PHOTO, np.zeros_like(MASK)), PHOTO)
    assert not outline(np.ones_like(MASK)).any()  # the photo's border is no outline
    assert overlay(PHOTO[:1, :1], MASK[2:3, 2:3]).shape == (1, 1, 3)


def test_the_error_map_tells_hit_miss_and_false_alarm():
    picture = error_map(PHOTO[:2, :2], np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
    assert picture[0].tolist() == [list(HIT), list(MISS)]
    assert tuple(picture[1, 0]) == FALSE_ALARM and len(set(picture[1, 1].tolist())) == 1  # grey


def test_every_class_has_its_own_colour():
    assert len(COLOURS) == len(CLASS_NAMES) == len({tuple(colour) for colour in COLOURS.tolist()})
    assert np.array_equal(colour_mask(np.arange(5, dtype=np.uint8)[None])[0], COLOURS)
    assert np.array_equal(colour_mask(MASK > 0), COLOURS[MASK])


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_predictions_stand_beside_photo_truth_and_errors():
    figure = show_predictions(np.stack([PHOTO] * 3), np.stack([MASK] * 3), np.stack([MASK > 0] * 3))
    assert len(figure.axes) == 12
    assert [axis.get_title() for axis in figure.axes[:4]] == ["photo", "truth", "prediction", "errors"]
    assert legend_of(figure) == ["found", "missed", "false alarm"]
    figure.canvas.draw()


def test_a_faint_probability_is_drawn_faint():
    """Scaled to its own range an empty map would look like a finding."""
    figure = show_pictures([[PHOTO, MASK, np.full((6, 6), 0.01, np.float32)]], ["a", "b", "c"])
    assert figure.axes[2].images[0].get_clim() == (0, 1)


def test_the_legend_of_overlays_names_the_classes_that_occur():
    figure = show_overlays([PHOTO, PHOTO], [MASK, MASK * 3], ["left", "right"])
    assert legend_of(figure) == ["cor", "pit"]
    assert legend_of(show_overlays([PHOTO], [MASK * 0], ["clean"])) == []


def test_curves_show_training_and_validation():
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1, 0.5], "iou": [0, 0.4], "val_loss": [1, 2],
                            "val_iou": [0, 0.3]})
    loss, iou = plot_history(history).axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[1, 0.5], [1, 2]]
    assert [line.get_ydata().tolist() for line in iou.lines] == [[0, 0.4], [0, 0.3]]
    assert iou.get_ylim() == (0, 1)


def test_a_gif_holds_every_frame(tmp_path):
    save_gif(tmp_path / "a.gif", [np.full((8, 8, 3), level, np.uint8) for level in (0, 90, 180)], 250)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3 and gif.info["duration"] == 250 and gif.info["loop"] == 0

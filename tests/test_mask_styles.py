"""Mask styles: labels, loss and metric by hand, model files with several styles, and the commands around them."""

import json

import numpy as np
import pandas as pd
import pytest

from corroseg_utils import cli, cross_validate, training_run
from corroseg_utils.errors import ModelError
from corroseg_utils.losses import CrossEntropyDice
from corroseg_utils.mask_styles import OwnStyleIoU, OwnStyleLoss, own_style, weights_of_style, with_styles
from corroseg_utils.photos import write_jpeg, write_png
from corroseg_utils.segmenter import load_segmenter
from corroseg_utils.weights import build_model, load_weights, read_about, same_logits, save_model, styles_of

MASKS = np.array([[[0, 1], [0, 0]], [[0, 0], [1, 1]]], np.uint8)
TINY = ["--encoder-weights", "none", "--alpha", "0.35", "--photo-size", "32", "--size", "32", "--epochs", "1",
        "--steps", "1", "--batch-size", "2"]
ABOUT = {"network": "edge_unet", "alpha": 0.35, "classes": ["background", "corrosion"], "size": 64, "threshold": 0.5}


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    """A model file that marks nothing in the style a, and everything in the style b; and its network."""
    from corroseg_utils.models import edge_unet

    model = edge_unet(None, 4, 0.35, None)
    kernel, _ = model.get_layer("logits_quarter").get_weights()
    model.get_layer("logits_quarter").set_weights([kernel, np.array([99, 0, 0, 99])])
    path = tmp_path_factory.mktemp("styled") / "model.npz"
    save_model(path, model, ABOUT | {"mask_styles": {"a": 0.4, "b": 0.7}})
    return path, model


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A manifest CSV of eight photos of two sources, a and b, in two folds; the left half of each is corroded."""
    folder = tmp_path_factory.mktemp("styles")
    rows = []
    for number in range(8):
        photo = np.full((48, 64, 3), 90 + number, np.uint8)
        photo[:, :32] = (150, 60, 20)
        write_jpeg(folder / f"{number}.jpg", photo)
        write_png(folder / f"{number}.png", np.repeat([[1, 0]], 48, 0).repeat(32, 1).astype(np.uint8))
        rows.append({"image": f"{number}.jpg", "mask": f"{number}.png", "group": number, "source": "ab"[number % 2],
                     "fold": number // 4, "split": "train"})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def test_labels_hold_mask_and_style():
    labels = with_styles(MASKS, np.array([2, 0]), 2)
    assert labels.dtype == np.uint8 and labels.tolist() == [[[4, 5], [4, 4]], [[0, 0], [1, 1]]]
    logits = np.arange(2 * 2 * 2 * 6, dtype=np.float32).reshape(2, 2, 2, 6)
    masks, own = own_style(labels, logits, 2)
    assert np.array_equal(masks, MASKS)
    assert np.array_equal(own[0], logits[0, ..., 4:]) and np.array_equal(own[1], logits[1, ..., :2])


def test_damage_classes_have_styles_too():
    labels = with_styles(np.full((1, 2, 2), 3, np.uint8), np.array([1]), 5)
    masks, own = own_style(labels, np.arange(10.0, dtype=np.float32) + np.zeros((1, 2, 2, 1), np.float32), 5)
    assert (np.asarray(masks) == 3).all() and np.asarray(own)[0, 0, 0].tolist() == [5, 6, 7, 8, 9]


def test_a_photo_teaches_its_own_style_alone():
    tf = pytest.importorskip("tensorflow")
    logits = tf.Variable(np.random.default_rng(0).normal(size=(2, 2, 2, 6)).astype(np.float32))
    labels, loss = with_styles(MASKS, np.array([2, 0]), 2), OwnStyleLoss(CrossEntropyDice(), 2)
    with tf.GradientTape() as tape:
        value = loss(labels, logits)
    own = np.stack([logits[0, ..., 4:], logits[1, ..., :2]])
    assert float(value) == pytest.approx(float(CrossEntropyDice()(MASKS, own)))
    learns = np.abs(tape.gradient(value, logits)).sum((1, 2)) > 0
    assert learns.tolist() == [[False] * 4 + [True] * 2, [True] * 2 + [False] * 4]


def test_iou_in_each_photo_s_own_style():
    metric = OwnStyleIoU(2, target_class_ids=[1], sparse_y_pred=False)
    sure = np.eye(2, dtype=np.float32)[MASKS]
    logits = np.concatenate([sure[..., ::-1], sure], -1)  # wrong in the first style, right in the second
    metric.update_state(with_styles(MASKS, np.array([1, 1]), 2), logits)
    assert float(metric.result()) == pytest.approx(1)
    metric.reset_state()
    metric.update_state(with_styles(MASKS, np.array([1, 0]), 2), logits)  # 1 of 1 right; 2 missed, 2 false alarms
    assert float(metric.result()) == pytest.approx(1 / (1 + 2 + 2))


def test_weights_of_one_style():
    entries = {"Conv1/kernel": np.arange(4), "logits_quarter/bias": np.arange(6)}
    one = weights_of_style(entries, 1, 2)
    assert len(one) == 2
    assert one["logits_quarter/bias"].tolist() == [2, 3] and one["Conv1/kernel"] is entries["Conv1/kernel"]


def test_a_file_draws_in_the_style_that_is_named(styled):
    path, model = styled
    photo = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    for style, channels in ((None, slice(0, 2)), ("a", slice(0, 2)), ("b", slice(2, 4))):
        kernel = build_model(path, style=style).get_layer("logits_quarter").get_weights()[0]
        stored = model.get_layer("logits_quarter").get_weights()[0][..., channels]
        np.testing.assert_allclose(kernel, stored, rtol=1e-3, atol=1e-6)  # stored as float16
    assert load_segmenter(path).mask(photo).mean() == 0 and load_segmenter(path, style="b").mask(photo).all()
    assert read_about(path)["mask_style"] == "a" and read_about(path)["threshold"] == 0.4
    assert read_about(path, "b")["threshold"] == 0.7
    assert styles_of(path) == {"a": 0.4, "b": 0.7} and build_model(path).output_shape[-1] == 2


def test_the_description_fits_the_model_of_one_style(styled, tmp_path):
    save_model(tmp_path / "b.npz", build_model(styled[0], style="b"), read_about(styled[0], "b") | {"threshold": 0.6})
    assert not styles_of(tmp_path / "b.npz") and load_segmenter(tmp_path / "b.npz").threshold == 0.6
    assert load_segmenter(tmp_path / "b.npz").mask(np.zeros((64, 64, 3), np.uint8)).all()


def test_an_unknown_style_is_named(styled, model_file, tmp_path, capsys):
    with pytest.raises(ModelError, match="not draw masks in the style 'c'. Name one of a, b"):
        load_segmenter(styled[0], style="c")
    with pytest.raises(ModelError, match="leave out --style"):
        load_segmenter(model_file, style="a")
    write_jpeg(tmp_path / "photo.jpg", np.zeros((64, 64, 3), np.uint8))
    assert cli.main(["segment", str(tmp_path / "photo.jpg"), "--out", str(tmp_path / "out"), "--model",
                     str(styled[0]), "--style", "c"]) == 2
    assert "Name one of a, b" in capsys.readouterr().err


def test_a_start_keeps_the_styles(styled, model_file):
    from corroseg_utils.models import edge_unet

    path, model = styled
    again = edge_unet(None, 4, 0.35, None)
    load_weights(again, path)
    assert again.get_layer("logits_quarter").get_weights()[1].tolist() == [99, 0, 0, 99]
    load_weights(again, model_file, with_logits=False)  # knows one style: its encoder and decoder are taken alone
    assert again.get_layer("logits_quarter").get_weights()[1].tolist() == [99, 0, 0, 99]
    taken, kept = (net.get_layer("Conv1").get_weights()[0] for net in (again, build_model(model_file)))
    assert np.array_equal(taken, kept)
    names = ABOUT["classes"]
    assert same_logits(path, names, ["a", "b"]) and same_logits(model_file, names)
    assert not any((same_logits(path, names, ["b", "a"]), same_logits(path, names), same_logits(path, "abcd"),
                    same_logits(model_file, names, ["a", "b"])))


def test_each_photo_is_scored_in_the_style_of_its_source(styled, data, tmp_path, monkeypatch):
    def train(arguments):
        out = cli.Path(arguments[arguments.index("--out") + 1])
        (out / "model.npz").write_bytes(styled[0].read_bytes())
        return 0

    monkeypatch.setattr(cli, "main", train)
    assert cross_validate.main([str(data), "--out", str(tmp_path)]) == 0
    sources = json.loads((tmp_path / "results.json").read_text())["sources"]
    assert (sources["a"]["recall"], sources["b"]["recall"]) == (0, 1) and sources["b"]["precision"] == 0.5
    names = [name for fold in (0, 1) for name in pd.read_csv(tmp_path / f"fold{fold}" / "photos.csv")["photo"]]
    assert names == [f"{number}.jpg" for number in range(8)]


@pytest.mark.slow
def test_trained_segmented_and_scored_by_commands(data, tmp_path, capsys):
    command = ["train", str(data), *TINY, "--out", str(tmp_path), "--all", "--mask-styles", "b=0.3", "a"]
    assert cli.main([*command, "--threshold", "0.6"]) == 0
    model = str(tmp_path / "model.npz")
    assert styles_of(model) == {"b": 0.3, "a": 0.6}
    assert build_model(model, style="a").output_shape[-1] == 2
    assert cli.main(["segment", str(data.parent / "0.jpg"), "--out", str(tmp_path / "masks"), "--model", model,
                     "--style", "a"]) == 0
    capsys.readouterr()
    thresholds = []
    for style in ("a", "b"):
        assert cli.main(["evaluate", str(data), "--model", model, "--split", "all", "--json", "--style", style]) == 0
        thresholds.append(json.loads(capsys.readouterr().out)["threshold"])
    assert thresholds == [0.6, 0.3]


def test_a_source_held_out_has_no_style_of_its_own(data, tmp_path, monkeypatch):
    stored = {}
    monkeypatch.setattr(training_run, "train", lambda model, pairs, *rest: stored.update(labels=pairs[1]))
    for held_out, left in ("ab", "ba"):
        assert cli.main(["train", str(data), *TINY, "--out", str(tmp_path / held_out), "--all", "--mask-styles", "a",
                         "b", "--held-out-source", held_out]) == 0
        assert list(styles_of(tmp_path / held_out / "model.npz")) == [left]
        assert stored["labels"].max() == 1
    (segmenter, photos), = cross_validate._by_style(tmp_path / "b" / "model.npz", pd.DataFrame({"source": ["b", "b"]}))
    assert segmenter.about["mask_style"] == "a" and len(photos) == 2


@pytest.mark.slow
def test_a_threshold_is_chosen_for_each_style_on_its_own_photos(data, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(training_run, "best_threshold", lambda segmenter, photos, gaps: asked.append(
        (segmenter.logits(np.zeros((1, 32, 32, 3), np.uint8)), set(photos["source"]))) or (len(asked) / 4, 0.0))
    table = pd.read_csv(data)
    table.loc[table.index[:4], "split"] = "validation"
    table.to_csv(data.parent / "validation.csv", index=False)
    assert cli.main(["train", str(data.parent / "validation.csv"), *TINY, "--out", str(tmp_path), "--mask-styles", "a",
                     "b"]) == 0
    assert [sources for _, sources in asked] == [{"a"}, {"b"}]
    for style, (logits, _) in zip("ab", asked, strict=True):
        own = load_segmenter(tmp_path / "model.npz", style=style).logits(np.zeros((1, 32, 32, 3), np.uint8))
        np.testing.assert_allclose(logits, own, rtol=0.02, atol=0.01)
    assert styles_of(tmp_path / "model.npz") == {"a": 0.25, "b": 0.5}


def test_what_cannot_be_trained_is_said(data, styled, model_file, tmp_path, capsys):
    command = ["train", str(data), *TINY, "--out", str(tmp_path), "--all"]
    assert cli.main([*command, "--mask-styles", "a"]) == 2
    assert "1.jpg has the source 'b', and no training photo teaches" in capsys.readouterr().err
    assert cli.main([*command, "--mask-styles", "a", "b", "--source-weights", "b=0"]) == 2
    assert "1.jpg has the source 'b', and no training photo teaches" in capsys.readouterr().err
    assert cli.main([*command, "--mask-styles", "a", "b", "c"]) == 2
    assert "No photo has the source 'c'" in capsys.readouterr().err
    assert cli.main([*command, "--mask-styles", "a", "b", "--paste", "0.5"]) == 2
    assert "Mask styles are for edge_unet" in capsys.readouterr().err
    command = ["train", str(data), *TINY[2:], "--out", str(tmp_path), "--all", "--weights", str(model_file)]
    assert cli.main([*command, "--keep-start", "0.5", "--mask-styles", "a", "b"]) == 2
    assert "give a model of background, corrosion in the styles a, b" in capsys.readouterr().err
    for wrong in ("a=2", "a=x"):
        with pytest.raises(SystemExit):
            cli.main([*command, "--mask-styles", wrong, "b"])
        assert wrong[2] in capsys.readouterr().err


@pytest.mark.slow
def test_an_exported_file_draws_in_one_style(styled, tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "b.tflite"
    assert cli.main(["export", "--model", str(styled[0]), "--out", str(path), "--style", "b"]) == 0
    segmenter = load_segmenter(path, style="b")
    assert segmenter.threshold == 0.7 and segmenter.mask(np.zeros((64, 64, 3), np.uint8)).all()
    with pytest.raises(ModelError, match="the style 'b' alone"):
        load_segmenter(path, style="a")

"""The command line as its users meet it: exit codes, messages, files."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import JOBS

import corroseg_utils
from corroseg_utils import segmenter
from corroseg_utils.cli import main
from corroseg_utils.dataset import load_mask, read_data
from corroseg_utils.metrics import confusion, corrosion_scores
from corroseg_utils.photos import photo_size, read_mask, write_jpeg, write_png
from corroseg_utils.weights import read_about

REPO = Path(__file__).resolve().parent.parent
TINY_TRAINING = ["--encoder-weights", "none", "--photo-size", "32", "--size", "32", "--epochs", "1", "--steps", "1",
                 "--batch-size", "2", "--freeze-encoder"]


@pytest.fixture
def red_model(red_segmenter, monkeypatch):
    """Commands use the segmenter that marks what is red."""
    monkeypatch.setattr(segmenter, "load_segmenter", lambda path=None, exact=False, style=None: red_segmenter)
    threshold = red_segmenter.threshold
    yield red_segmenter
    red_segmenter.threshold = threshold


@pytest.mark.parametrize("command", ["segment", "train", "evaluate"])
def test_help_says_what_a_stranger_needs(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert stopped.value.code == 0
    assert "Exit codes: 0 all done" in text and "python -m corroseg_utils" in text
    assert ("1 some photos failed" in text) == (command == "segment")  # the others do all or nothing


@pytest.mark.parametrize("command", ["report", "train"])
def test_what_is_not_installed_is_named(command, tmp_path, monkeypatch, capsys):
    monkeypatch.delattr(corroseg_utils, "report", raising=False)
    for module in ("corroseg_utils.report", "corroseg_utils.augment"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main([command, str(tmp_path), "--out", str(tmp_path)]) == 2
    assert f"error: {command} needs more than is installed here" in capsys.readouterr().err


def test_help_names_commands_that_are_not_installed(monkeypatch, capsys):
    monkeypatch.delattr(corroseg_utils, "report", raising=False)
    monkeypatch.setitem(sys.modules, "corroseg_utils.report", None)
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert text.count("not installed here: needs requirements.txt") == 3 and "trends" in text


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["segment"], ["segment", "a.jpg"], ["segment", "a.jpg", "--out", "x", "--threshold", "1.5"],
    ["segment", "a.jpg", "--out", "x", "--threshold", "nan"], ["train", "data"],
    ["train", "data", "--out", "x", "--size", "100"], ["train", "data", "--out", "x", "--epochs", "0"],
    ["train", "data", "--out", "x", "--network", "resnet"], ["evaluate", "data", "--split", "trian"],
    ["train", "data", "--out", "x", "--all", "--threshold", "0"],
    ["train", "data", "--out", "x", "--all", "--threshold", "1"],
])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "words"), [
    (["segment", "{tmp}/gone.jpg", "--out", "{tmp}/out"], "gone.jpg: there is no such file or folder"),
    (["segment", "{tmp}", "--out", "{tmp}/out"], "No photo found in"),
    (["segment", "{photo}", "--out", "{tmp}/out", "--model", "{tmp}/gone.npz"], "gone.npz: there is no such model"),
    (["segment", "{photo}", "--out", "{tmp}/out", "--model", "{photo}"], "no corroseg model"),
    (["evaluate", "{tmp}"], "no data set here"),
    (["evaluate", "{data}", "--source", "x"], "There is no column 'source'"),
    (["evaluate", "{data}", "--fold", "0"], "{data}: There is no column 'fold'"),
    (["train", "{tmp}", "--out", "{tmp}/out"], "no data set here"),
])
def test_what_cannot_be_used_is_exit_code_2_with_its_name(arguments, words, tmp_path, shared_data_2020, capsys):
    places = {"tmp": tmp_path, "data": shared_data_2020, "photo": shared_data_2020 / "photos" / "CDM_1_IMG_0.JPG"}
    assert main([argument.format(**places) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert words.format(**places) in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_segment_does_all_photos(shared_data_2020, tmp_path, red_model, capsys):
    assert main(["segment", str(shared_data_2020 / "photos"), "--out", str(tmp_path / "out")]) == 0
    assert "8 of 8 photos done" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == len(list((tmp_path / "out").glob("*_overlay.jpg"))) == 8


def test_a_broken_photo_is_exit_code_1_and_the_others_are_done(data_2020, tmp_path, red_model, capsys):
    (data_2020 / "photos" / "CDM_1_IMG_0.JPG").write_bytes(b"")
    assert main(["segment", str(data_2020 / "photos"), "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "7 of 8 photos done" in captured.out
    assert "failed: " in captured.err and "CDM_1_IMG_0.JPG: the file is empty" in captured.err
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 7


def test_the_threshold_decides_what_is_marked(shared_data_2020, tmp_path, red_model):
    photo = shared_data_2020 / "photos" / "CDM_1_IMG_0.JPG"
    percents = []
    for threshold in ("0", "0.5", "1"):
        assert main(["segment", str(photo), "--out", str(tmp_path), "--threshold", threshold]) == 0
        percents.append(pd.read_csv(tmp_path / "summary.csv")["corroded_percent"][0])
    assert percents[0] == 100 > percents[1] > 10 and percents[1] >= percents[2]


def test_a_stop_by_hand_is_no_traceback(shared_data_2020, tmp_path, red_model, monkeypatch, capsys):
    def stopped(photos):
        raise KeyboardInterrupt

    monkeypatch.setattr(red_model, "logits", stopped)
    assert main(["segment", str(shared_data_2020 / "photos"), "--out", str(tmp_path)]) == 130
    assert "Stopped" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 0


@pytest.mark.parametrize(("size", "view"), [
    (96, ()), (32, ()),  # the photos' own size, and one from which the answer is enlarged
    (32, ("--scale", "1")), (32, ("--scale", "0.6")),
])
def test_evaluate_scores_what_segment_writes(size, view, shared_data_2020, tmp_path, red_model, monkeypatch, capsys):
    monkeypatch.setattr(red_model, "size", size)
    logits, squares = red_model.logits, []
    monkeypatch.setattr(red_model, "logits", lambda photos: squares.append(photos) or logits(photos))
    assert main(["segment", str(shared_data_2020 / "photos"), "--out", str(tmp_path), *view]) == 0
    capsys.readouterr()
    seen_by_segment = len(squares)
    assert main(["evaluate", str(shared_data_2020), "--split", "all", "--json", *view]) == 0
    assert len(squares) == 2 * seen_by_segment and (seen_by_segment > 8) == bool(view), "tiles, if a scale is given"
    scores = json.loads(capsys.readouterr().out)
    counts = 0
    for row in read_data(shared_data_2020).to_dict("records"):
        truth = load_mask(row["photo"], row["findings"], photo_size(row["photo"])) > 0
        counts = counts + confusion(truth, read_mask(tmp_path / f"{row['photo'].stem}_mask.png") > 0)
    assert scores | corrosion_scores(counts) == scores
    assert scores["photos"] == 8 and scores["groups"] == 4 and scores["threshold"] == 0.5


def test_evaluate_takes_the_split_that_is_asked_for(shared_data_2020, red_model, capsys):
    for split, jobs in (("train", 2), ("validation", 1), ("test", 1)):
        assert list(JOBS.values()).count(split) == jobs
        assert main(["evaluate", str(shared_data_2020), "--split", split]) == 0
        text = capsys.readouterr().out
        assert f"{2 * jobs} photos of {jobs} groups, threshold 0.500" in text
        assert ("95 % interval: none" in text, "95 % interval: 0." in text) == (jobs == 1, jobs > 1)


def test_an_undefined_score_is_null_in_json(data_2020, red_model, capsys, monkeypatch):
    for mask in (data_2020 / "masks").iterdir():
        mask.unlink()
    table = (data_2020 / "support_dataset.csv").read_text().splitlines()
    names = [line.split(",")[0] for line in table[1:]]
    (data_2020 / "support_dataset.csv").write_text("\n".join([table[0]] + [f"{n}" + ",nothing" * 4 for n in names]))
    red_model.threshold = 1.1  # nothing is marked

    def strict(token):
        raise AssertionError(f"{token} is no JSON")

    assert main(["evaluate", str(data_2020), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out, parse_constant=strict)
    assert scores["iou"] is None and scores["iou_interval"] == [None, None] and scores["accuracy"] == 1


def test_bad_data_stops_unless_told_to_skip_it(data_2020, red_model, capsys):
    (data_2020 / "photos" / "CDS_4_IMG_3.JPG").write_bytes(b"")
    (data_2020 / "photos" / "CDM_1_IMG_0.JPG").unlink()
    assert main(["evaluate", str(data_2020)]) == 2
    error = capsys.readouterr().err
    assert "2 problem(s) found" in error and "CDS_4_IMG_3.JPG" in error and "CDM_1_IMG_0.JPG" in error
    assert main(["evaluate", str(data_2020), "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("skipped: ") == 2
    assert "1 photos of 1 groups" in captured.out


def test_a_split_without_photo_is_named(data_2020, red_model, capsys):
    (data_2020 / "split.csv").write_text("group,split\n" + "".join(f"{job},train\n" for job in JOBS))
    assert main(["evaluate", str(data_2020)]) == 2
    assert "the split test has no photo. Add a column split, or score all photos" in capsys.readouterr().err
    assert main(["train", str(data_2020), "--out", str(data_2020 / "out"), *TINY_TRAINING]) == 2
    assert "The split validation has no photo" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(shared_data_2020, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "out"
    assert main(["train", str(shared_data_2020), "--out", str(out), *TINY_TRAINING]) == 0
    return out


def test_train_writes_a_model_that_the_other_commands_take(trained, shared_data_2020, capsys):
    files = {file.name for file in trained.iterdir()}
    assert {"model.npz", "log.csv", "recipe.json", "tensorboard", "best.weights.h5"} <= files
    assert main(["evaluate", str(shared_data_2020), "--model", str(trained / "model.npz"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["photos"] == 2 and 0 <= scores["threshold"] <= 1


def test_another_training_in_the_same_folder_is_exit_code_2(trained, shared_data_2020, capsys):
    before = (trained / "model.npz").read_bytes()
    assert main(["train", str(shared_data_2020), "--out", str(trained), *TINY_TRAINING, "--patience", "1"]) == 2
    assert "recipe.json is of a training with another recipe" in capsys.readouterr().err
    assert (trained / "model.npz").read_bytes() == before


@pytest.mark.slow
def test_the_command_itself_with_a_model_file(shared_data_2020, model_file, tmp_path):
    """In a process of its own, from a folder without the repository: what a user types."""
    shutil.copy(shared_data_2020 / "photos" / "CDM_1_IMG_0.JPG", tmp_path / "a b.JPG")
    (tmp_path / "broken.jpg").write_text("no photo")
    command = [sys.executable, "-m", "corroseg_utils", "segment", "a b.JPG", "broken.jpg", "--out", "out",
               "--model", str(model_file)]
    run = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True,
                         text=True)
    assert run.returncode == 1, run.stderr
    assert "1 of 2 photos done, results in out" in run.stdout
    assert "segmenting: 100%" in run.stderr and "failed: broken.jpg: " in run.stderr
    assert "Traceback" not in run.stderr
    mask = read_mask(tmp_path / "out" / "a b_mask.png")
    assert mask.shape == (64, 96) and set(np.unique(mask)) <= {0, 255}


@pytest.mark.slow
def test_a_model_for_damage_classes_is_scored_class_by_class(shared_data_2020, trained, tmp_path, capsys):
    out = tmp_path / "classes"
    options = ["--classes", "damage", "--weights", str(trained / "model.npz"), "--loss", "lovasz", "--ema", "0.9",
               "--crop", "0.4", "0.8", "--paste", "0.5", "--view", "64", "--all",
               "--threshold", "0.4"]
    assert main(["train", str(shared_data_2020), "--out", str(out), *TINY_TRAINING[2:], *options]) == 0
    assert json.loads((out / "setup.json").read_text())["classes"] == "damage"
    assert json.loads((out / "recipe.json").read_text())["augmentation"]["crop"] == [0.4, 0.8]
    about = read_about(out / "model.npz")
    assert (about["threshold"], about["size"]) == (0.4, 64)
    capsys.readouterr()
    command = ["evaluate", str(shared_data_2020), "--split", "all", "--model", str(out / "model.npz")]
    assert main([*command, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert list(scores["class_iou"]) == ["background", "cor", "rus", "pit", "lom"]
    truth = sum(np.bincount(load_mask(row["photo"], row["findings"], photo_size(row["photo"])).ravel(), minlength=5)
                for row in read_data(shared_data_2020).to_dict("records"))
    assert np.array_equal(np.sum(scores["confusion"], 1), truth)
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "mean IoU" in text and "lom" in text
    assert main(["train", str(shared_data_2020), "--out", str(out), *TINY_TRAINING]) == 2
    assert "setup.json is of a training with another" in capsys.readouterr().err


@pytest.mark.slow
def test_gaps_are_closed_in_masks_of_corrosion_alone(shared_data_2020, tmp_path, monkeypatch, capsys):
    from corroseg_utils import training_run

    seen = []
    monkeypatch.setattr(training_run, "train", lambda model, pairs, *rest: seen.append(pairs[1]))
    for options in ([], ["--close-gaps", "3"]):
        assert main(["train", str(shared_data_2020), "--out", str(tmp_path / str(len(seen))), *TINY_TRAINING,
                     *options]) == 0
    exact, closed = seen
    assert (closed >= exact).all() and closed.sum() > exact.sum()
    assert main(["train", str(shared_data_2020), "--out", str(tmp_path / "classes"), *TINY_TRAINING, "--classes",
                 "damage", "--close-gaps", "3"]) == 2
    assert "masks of corrosion alone" in capsys.readouterr().err


def test_photos_of_another_data_set_are_added(shared_data_2020, data_2020, tmp_path, monkeypatch):
    from corroseg_utils import training_run

    seen = {}
    monkeypatch.setattr(training_run, "train_model", lambda manifest, out, recipe, setup: seen.update(
        photos=manifest, setup=setup) or {"validation_iou": 0.0, "threshold": 0.5})
    command = ["train", str(shared_data_2020), "--out", str(tmp_path), "--extra", str(data_2020)]
    assert main([*command, "--source-weights", "extra=0.5"]) == 0
    extra = seen["photos"][seen["photos"]["source"] == "extra"]
    assert len(seen["photos"]) == 12 and len(extra) == 4 and (extra["split"] == "train").all()  # its train split alone
    assert extra["group"].unique().tolist() == ["extra/CDM_1", "extra/CDM_2"]
    assert training_run._photo_weights(seen["photos"], seen["setup"].source_weights).tolist() == 4 * [1] + 4 * [0.5]
    held_out = seen["photos"].assign(split=["test" if source == "extra" else split for source, split in
                                            zip(seen["photos"]["source"], seen["photos"]["split"], strict=True)])
    assert training_run._photo_weights(held_out, {"extra": 2.0}).tolist() == 4 * [1]  # named, and held out
    with pytest.raises(training_run.DataError, match="No photo has the source 'x'"):
        training_run._photo_weights(seen["photos"], {"x": 2.0})
    assert main([*command, "--source-weights", "extra=0"]) == 0
    assert training_run._photo_weights(seen["photos"], seen["setup"].source_weights).tolist() == 4 * [1] + 4 * [0]
    with pytest.raises(training_run.DataError, match="weight 0"):
        training_run._photo_weights(seen["photos"].assign(source="extra"), {"extra": 0.0})
    assert main([*command, str(shared_data_2020)]) == 0
    assert (seen["photos"]["source"] == "extra").sum() == 4 + 4  # of each of the two data sets
    for wrong in ("extra", "extra=-1", "extra=inf", "extra=nan", "extra=a"):
        with pytest.raises(SystemExit):
            main([*command, "--source-weights", wrong])


def test_every_option_of_train_reaches_its_place(shared_data_2020, tmp_path, monkeypatch):
    from corroseg_utils import training_run

    seen = {}
    monkeypatch.setattr(training_run, "train_model", lambda manifest, out, recipe, setup: seen.update(
        asdict(recipe) | asdict(setup)) or {"threshold": 0.5})
    command = ["train", str(shared_data_2020), "--out", str(tmp_path)]
    assert main(command) == 0
    assert (seen["encoder_weights"], seen["loss"], seen["seed"], seen["validate"]) == ("corroseg", "dice", 0, True)
    given = {"network": "unet_2020", "alpha": 0.5, "photo_size": 96, "view": 64, "size": 32, "epochs": 6, "cycles": 3,
             "steps": 5, "batch_size": 4, "learning_rate": 0.01, "classes": "damage", "loss": "lovasz", "ema": 0.9,
             "close_gaps": 2, "threshold": 0.3, "seed": 7}
    options = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main([*command, *options, "--encoder-weights", "none", "--crop", "0.4", "0.8", "--haze", "0.75",
                 "--paste", "0.25", "--freeze-encoder"]) == 0
    assert seen | given == seen
    assert (seen["encoder_weights"], seen["freeze_encoder"], seen["train_batch_norm"]) == (None, True, False)
    assert [seen["augmentation"][name] for name in ("crop", "haze", "paste")] == [(0.4, 0.8), 0.75, 0.25]
    given = {"weights": "m.npz", "keep_start": 0.5, "patience": 3}
    assert main([*command, "--weights", "m.npz", "--keep-start", "0.5", "--patience", "3", "--train-batch-norm"]) == 0
    assert seen | given == seen and (seen["freeze_encoder"], seen["train_batch_norm"]) == (False, True)


def test_seed_sizes_and_frozen_encoder_reach_the_training(shared_data_2020, tmp_path, monkeypatch):
    from corroseg_utils import training_run
    from corroseg_utils.models import encoder_layers

    seen = []

    def train(model, training, validation, *rest):
        frozen = not any(layer.trainable_variables for layer in encoder_layers(model))
        seen.append((model.get_weights(), training[0].shape, validation[0].shape, frozen))

    monkeypatch.setattr(training_run, "train", train)
    command = ["train", str(shared_data_2020), *TINY_TRAINING[:-1], "--alpha", "0.35", "--threshold", "0.5",
               "--photo-size", "64", "--view", "32"]
    for number, options in enumerate((["--freeze-encoder"], ["--freeze-encoder"], ["--seed", "1"])):
        assert main([*command, "--out", str(tmp_path / str(number)), *options]) == 0
    starts, *rest = zip(*seen, strict=True)
    assert rest == [((4, 64, 64, 3),) * 3, ((2, 32, 32, 3),) * 3, (True, True, False)]
    assert all(np.array_equal(one, again) for one, again in zip(*starts[:2], strict=True))
    assert not np.array_equal(starts[0][0], starts[2][0])  # another seed, another start


def test_a_start_of_the_network_and_one_of_the_encoder_exclude_each_other(shared_data_2020, model_file, tmp_path,
                                                                          capsys):
    assert main(["train", str(shared_data_2020), "--out", str(tmp_path), "--weights", str(model_file),
                 "--encoder-weights", "imagenet"]) == 2
    assert "Give one of them" in capsys.readouterr().err


def test_a_file_where_a_folder_is_needed_is_named(red_model, data_2020, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["segment", str(data_2020 / "photos"), "--out", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: a folder is needed here" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_number_with_a_comma_is_explained(capsys):
    with pytest.raises(SystemExit):
        main(["segment", "photo.jpg", "--out", "out", "--threshold", "0,45"])
    assert "0,45 is no number, such as 0.45" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["0", "0.001"])
def test_a_scale_too_small_for_any_camera_is_refused(scale, capsys):
    with pytest.raises(SystemExit):
        main(["segment", "photo.jpg", "--out", "out", "--scale", scale])
    assert f"{scale} is below 0.05. Leave --scale out" in capsys.readouterr().err


def test_a_crop_of_nothing_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["train", "data", "--out", "out", "--crop", "0", "1"])
    assert "a side of 0 leaves nothing to see" in capsys.readouterr().err


def test_a_mask_of_unknown_classes_is_named(tmp_path, capsys):
    for name, value in (("a", 3), ("b", 4)):
        write_jpeg(tmp_path / "data" / "images" / f"{name}.jpg", np.zeros((32, 32, 3), np.uint8))
        write_png(tmp_path / "data" / "masks" / f"{name}.png", np.full((32, 32), value, np.uint8))
    command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *TINY_TRAINING, "--all"]
    assert main([*command, "--classes", "condition"]) == 2
    assert "b.jpg holds class 4, but 'condition' ends at 3" in capsys.readouterr().err


def test_a_share_of_the_start_is_kept(shared_data_2020, model_file, tmp_path, monkeypatch, capsys):
    from corroseg_utils import training_run
    from corroseg_utils.weights import build_model

    monkeypatch.setattr(training_run, "train", lambda model, *rest: model.set_weights(
        [weights + 1 for weights in model.get_weights()]))
    command = ["train", str(shared_data_2020), *TINY_TRAINING[2:], "--alpha", "0.35", "--all", "--keep-start", "0.75"]
    assert main([*command, "--weights", str(model_file), "--out", str(tmp_path)]) == 0
    kept, start = (build_model(path).get_weights() for path in (tmp_path / "model.npz", model_file))
    for before, after in zip(start, kept, strict=True):
        np.testing.assert_allclose(after, before + 0.25, rtol=2e-3, atol=1e-4)  # stored as float16
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "Give both" in capsys.readouterr().err
    assert main([*command, "--weights", str(model_file), "--out", str(tmp_path), "--classes", "damage"]) == 2
    assert "knows other classes" in capsys.readouterr().err


def test_weights_that_changed_are_another_start(shared_data_2020, model_file, tmp_path, capsys):
    from corroseg_utils.weights import build_model, save_model

    start = tmp_path / "start.npz"
    start.write_bytes(model_file.read_bytes())
    command = ["train", str(shared_data_2020), *TINY_TRAINING[2:], "--alpha", "0.35", "--all", "--weights", str(start),
               "--out", str(tmp_path / "out")]
    assert main(command) == 0
    model = build_model(model_file)
    model.set_weights([weights + 1 for weights in model.get_weights()])
    save_model(start, model, {key: value for key, value in read_about(model_file).items()})
    assert main(command) == 2
    assert "setup.json is of a training with another setup, or from other weights" in capsys.readouterr().err


def test_validation_photos_without_corrosion_choose_nothing(tmp_path, capsys):
    rows = ["image,mask,split"]
    for number, value in enumerate((1, 1, 1, 0, 0)):
        write_jpeg(tmp_path / "data" / f"{number}.jpg", np.zeros((32, 32, 3), np.uint8))
        write_png(tmp_path / "data" / f"{number}.png", np.full((32, 32), value, np.uint8))
        rows.append(f"{number}.jpg,{number}.png,{'train' if value else 'validation'}")
    (tmp_path / "data" / "m.csv").write_text("\n".join(rows))
    command = ["train", str(tmp_path / "data" / "m.csv"), "--out", str(tmp_path / "out"), *TINY_TRAINING]
    assert main(command) == 2
    assert "m.csv: No validation photo shows corrosion" in capsys.readouterr().err
    assert not (tmp_path / "out" / "model.npz").exists()


def test_the_network_of_2020_has_one_width(shared_data_2020, tmp_path, capsys):
    command = ["train", str(shared_data_2020), "--out", str(tmp_path), *TINY_TRAINING, "--network", "unet_2020"]
    assert main([*command, "--alpha", "0.5"]) == 2
    assert "unet_2020 has one width. Leave out --alpha" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value", "words"), [
    ("--seed", "-1", "-1 is not from 0 to 4294967295"), ("--seed", "x", "x is no whole number, such as 0"),
    ("--learning-rate", "abc", "abc is no number, such as 0.45"), ("--epochs", "1.5", "1.5 is no whole number"),
    ("--steps", "0", "0 is below 1"), ("--size", "100", "100 is no multiple of 32"),
    ("--source-weights", "web=x", "web=x is not like web=0.5"), ("--source-weights", "web", "web is not like web=0.5"),
    ("--mask-styles", "web=2", "web=2 is not like web, or web=0.4")])
def test_values_of_options_are_explained(option, value, words, capsys):
    with pytest.raises(SystemExit):
        main(["train", "data", "--out", "out", option, value])
    assert words in capsys.readouterr().err


def test_a_folder_without_the_right_to_write_is_named(red_model, shared_data_2020, tmp_path, monkeypatch, capsys):
    import errno
    import tempfile

    def refuse(dir, prefix):  # rights do not bind whoever runs the tests as root
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}xyz")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert main(["segment", str(shared_data_2020 / "photos"), "--out", str(tmp_path)]) == 2
    assert f"error: {tmp_path / 'summary.csv'}: you have no right to read or write this" in capsys.readouterr().err


def test_a_threshold_that_is_given_stays(shared_data_2020, tmp_path, capsys):
    command = ["train", str(shared_data_2020), "--out", str(tmp_path), *TINY_TRAINING, "--alpha", "0.35"]
    assert main([*command, "--threshold", "0.4"]) == 0
    about = read_about(tmp_path / "model.npz")
    assert about["threshold"] == 0.4 and "validation_iou" not in about
    assert "val_iou" in (tmp_path / "log.csv").read_text()  # which still chooses the epoch
    assert "Validation IoU" not in capsys.readouterr().out


def test_a_training_that_cannot_have_its_start_takes_no_other(no_imagenet, shared_data_2020, tmp_path, capsys):
    command = ["train", str(shared_data_2020), "--out", str(tmp_path / "out"), *TINY_TRAINING]
    assert main([*command, "--encoder-weights", "imagenet"]) == 2
    assert "could not be fetched" in capsys.readouterr().err
    assert not (tmp_path / "out" / "setup.json").exists()


def test_all_photos_but_those_held_out(shared_data_2020, tmp_path, monkeypatch, capsys):
    from corroseg_utils import training_run

    seen = []
    monkeypatch.setattr(training_run, "train_model", lambda manifest, out, recipe, setup: seen.append(
        (manifest, setup)) or {"threshold": 0.5})
    everything = read_data(shared_data_2020)
    assert main(["train", str(shared_data_2020), "--out", str(tmp_path), "--all"]) == 0
    assert "Validation IoU" not in capsys.readouterr().out
    rows = [f"{row['photo']},{row['findings'][0].path if row['findings'] else ''},{i},{i % 2}"
            for i, row in enumerate(everything.to_dict("records"))]
    table = tmp_path / "manifest.csv"
    table.write_text("\n".join(["image,mask,group,fold", *rows]))
    assert main(["train", str(table), "--out", str(tmp_path), "--all", "--fold", "1",
                 "--threshold", "0.4"]) == 0
    assert main(["train", str(table), "--out", str(tmp_path), "--all", "--patience", "3"]) == 2
    assert "--patience needs validation photos" in capsys.readouterr().err
    assert [(setup.validate, setup.threshold) for _, setup in seen] == [(False, None), (False, 0.4)]
    (whole, _), (rest, _) = seen
    assert len(whole) == len(rest) == len(everything) and (whole["split"] == "train").all()
    assert set(zip(rest["split"], rest["fold"], strict=True)) == {("train", 0), ("test", 1)}


def test_options_that_cannot_work_are_explained(shared_data_2020, tmp_path, capsys):
    command = ["train", str(shared_data_2020), "--out", str(tmp_path / "out")]
    assert main([*command, "--crop", "0.9", "0.5"]) == 2
    assert "the smaller side first" in capsys.readouterr().err
    assert main([*command, "--network", "unet_2020", "--encoder-weights", "none"]) == 2
    assert "Give --size and --view the same number" in capsys.readouterr().err
    assert main([*command, "--cycles", "5", "--patience", "3"]) == 2
    assert "--patience stops before the last of the --cycles" in capsys.readouterr().err
    for rate in ("nan", "0", "-1"):
        with pytest.raises(SystemExit):
            main([*command, "--learning-rate", rate])
    assert main(["export", "--out", str(tmp_path / "x.tflite"), "--size", "100"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_network_of_2020_trains_at_one_size(shared_data_2020, tmp_path):
    assert main(["train", str(shared_data_2020), "--out", str(tmp_path), *TINY_TRAINING, "--network", "unet_2020",
                 "--view", "32"]) == 0
    assert (tmp_path / "model.npz").is_file()

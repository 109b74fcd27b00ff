"""Cross-validation and study on a few rendered photos, with trainings of one step."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from corroseg_utils import DATA, cli, cross_validate, study
from corroseg_utils.cross_validate import held_out_counts, main
from corroseg_utils.dataset import load_pair, read_data
from corroseg_utils.evaluation import COUNTS, class_scores
from corroseg_utils.photos import resize_mask, resize_photo, write_jpeg, write_png
from corroseg_utils.segmenter import Segmenter
from corroseg_utils.training import TrainingError

TINY = ["--encoder-weights", "none", "--photo-size", "32", "--size", "32", "--epochs", "1", "--steps", "1",
        "--batch-size", "2", "--freeze-encoder"]
JOBS = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A manifest CSV of one small photo of each of some rendered jobs: two folds, two sources."""
    folder = tmp_path_factory.mktemp("cross") / "data"
    rows = []
    corroded = read_data(DATA).loc[lambda manifest: manifest["findings"].astype(bool)]
    for number, row in enumerate(corroded.drop_duplicates("group").head(JOBS).to_dict("records")):
        photo, mask = load_pair(row)
        write_jpeg(folder / f"{number}.jpg", resize_photo(photo, (64, 48)))
        write_png(folder / f"{number}.png", resize_mask((mask > 0).astype(np.uint8), (64, 48)))
        # By the hash of their names, a/job4 (fold 1) and b/job10 (fold 0) are for validation when not held out.
        job = 10 if number == 1 else number
        rows.append({"image": f"{number}.jpg", "mask": f"{number}.png", "group": f"job{job}",
                     "source": "ab"[number % 2], "fold": number // (JOBS // 2)})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture
def quick(monkeypatch, model_file):
    """Trainings that copy a finished model instead, and note what they were asked for."""
    asked = []

    def train(arguments):
        asked.append(arguments)
        out = cli.Path(arguments[arguments.index("--out") + 1])
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.npz").write_bytes(model_file.read_bytes())
        return 0

    monkeypatch.setattr(cli, "main", train)
    return asked


def test_a_stop_by_hand_is_no_failed_training(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "main", lambda arguments: 130)
    with pytest.raises(SystemExit) as stopped:
        main([str(data), "--out", str(tmp_path / "out"), *TINY])
    assert stopped.value.code == 130 and "failed" not in capsys.readouterr().err


@pytest.mark.slow
def test_every_photo_is_scored_once_by_a_model_that_never_saw_it(data, tmp_path, capsys):
    command = [str(data), "--out", str(tmp_path / "out"), *TINY]
    assert main(command) == 0
    assert "IoU" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["parts"] == [0, 1] and results["train_options"] == TINY
    assert results["all"]["photos"] == JOBS and set(results["sources"]) == {"a", "b"}
    tables = [pd.read_csv(tmp_path / "out" / f"fold{fold}" / "photos.csv") for fold in (0, 1)]
    assert [name for table in tables for name in table["photo"]] == [f"{number}.jpg" for number in range(JOBS)]
    assert (pd.concat(tables)[COUNTS].sum(axis=1) == 64 * 48).all()
    pooled = pd.concat(tables)[COUNTS].sum()
    union = pooled["hits"] + pooled["misses"] + pooled["false_alarms"]
    assert results["all"]["iou"] == pytest.approx(pooled["hits"] / union)
    assert 0 <= results["all"]["median_iou"] <= 1


def test_photos_one_by_one():
    counts = pd.DataFrame([[0, 0, 5, 5], [0, 8, 0, 2], [0, 0, 0, 10], [10, 0, 0, 0]], columns=COUNTS)
    scores = cross_validate._scores(counts.assign(part="0", group=range(4)))  # IoU 0.5, 0.2, 1, and a clean photo
    assert scores["median_iou"] == 0.5 and scores["below_03"] == pytest.approx(1 / 3)
    scores = cross_validate._scores(counts.assign(part=["0", "0", "1", "1"], group=range(4)))
    assert scores["iou_by_part"] == {"0": 7 / 20, "1": 1}
    limit = pd.DataFrame([[0, 7, 0, 3]], columns=COUNTS).assign(part="0", group=0)  # IoU 0.3, which is not below 0.3
    assert cross_validate._scores(limit)["below_03"] == 0


def test_what_is_done_is_not_done_again(data, tmp_path, quick):
    command = [str(data), "--out", str(tmp_path / "out"), "--epochs", "3"]
    assert main(command) == 0
    assert [asked[:6] for asked in quick] == [["train", str(data), "--out", str(tmp_path / "out" / f"fold{fold}"),
                                               "--fold", str(fold)] for fold in (0, 1)]
    assert all(asked[-2:] == ["--epochs", "3"] for asked in quick)
    results = (tmp_path / "out" / "results.json").read_bytes()
    (tmp_path / "out" / "fold1" / "photos.csv").unlink()  # killed while it scored the second fold
    assert main(command) == 0
    assert len(quick) == 2 and (tmp_path / "out" / "results.json").read_bytes() == results


def test_other_options_in_the_same_folder_are_refused(data, tmp_path, quick, capsys):
    assert main([str(data), "--out", str(tmp_path)]) == 0
    assert main([str(data), "--out", str(tmp_path), "--epochs", "3"]) == 2
    assert "run.json is of another manifest, part or other options" in capsys.readouterr().err


def test_scores_of_other_options_are_not_taken_for_these(data, tmp_path, quick):
    held_out_counts(data, tmp_path, 0, ["--epochs", "3"])
    with pytest.raises(TrainingError, match=r"run\.json is of another manifest"):
        held_out_counts(data, tmp_path, 0, ["--epochs", "99"])


def test_a_training_that_could_not_begin_may_be_called_again_with_other_options(data, tmp_path, quick, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(cli, "main", lambda arguments: 2)
        with pytest.raises(cross_validate.CorrosegError, match="failed"):
            held_out_counts(data, tmp_path / "out", 0, ["--weights", "gone.npz"])
    assert len(held_out_counts(data, tmp_path / "out", 0, ["--weights", "here.npz"])) == JOBS // 2


def test_folds_are_whole_numbers_however_the_table_writes_them(data, tmp_path, quick, capsys):
    table = pd.read_csv(data)
    table.assign(fold=table["fold"].astype(float)).to_csv(data.with_name("floats.csv"), index=False)
    assert main([str(data.with_name("floats.csv")), "--out", str(tmp_path / "out")]) == 0
    assert [asked[5] for asked in quick] == ["0", "1"]
    table.assign(fold=table["fold"].map({0: "a", 1: "b"})).to_csv(data.with_name("letters.csv"), index=False)
    assert main([str(data.with_name("letters.csv")), "--out", str(tmp_path / "letters")]) == 2
    assert "a fold is a whole number, but there is 'a'" in capsys.readouterr().err
    table.assign(fold=[0, 1] * 3 + [1, 1.5]).to_csv(data.with_name("half.csv"), index=False)
    assert main([str(data.with_name("half.csv")), "--out", str(tmp_path / "half")]) == 2
    assert "there is 1.5" in capsys.readouterr().err
    table.assign(fold=[0, 1] * 3 + [1, None]).to_csv(data.with_name("gap.csv"), index=False)
    for folds in ([], ["--folds", "0"]):
        assert main([str(data.with_name("gap.csv")), "--out", str(tmp_path / "gap"), *folds]) == 2
        assert f"{JOBS - 1}.jpg has no fold" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([str(data), "--out", str(tmp_path / "file")]) == 2
    assert "error: " in capsys.readouterr().err


def test_scores_of_other_data_are_not_taken_for_these(data, tmp_path, quick, capsys):
    assert main([str(data), "--out", str(tmp_path / "out")]) == 0
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / data.name
    other.write_text(data.read_text().replace("job0", "jobx"))
    assert main([str(other), "--out", str(tmp_path / "out")]) == 2
    assert "run.json is of another" in capsys.readouterr().err


def test_scores_of_one_source_are_not_taken_for_those_of_all(data, tmp_path, quick, capsys):
    held_out_counts(data, tmp_path / "fold0", 0, source="b")
    assert main([str(data), "--out", str(tmp_path)]) == 2
    assert "run.json is of another" in capsys.readouterr().err


@pytest.mark.parametrize(("column", "options"), [("fold", []), ("source", ["--by-source"])])
def test_a_row_of_no_part_is_named(data, tmp_path, quick, capsys, column, options):
    table = pd.read_csv(data)
    table[column] = table[column].astype(object)
    table.loc[3, column] = None
    table.to_csv(data.with_name("gap.csv"), index=False)
    assert main([str(data.with_name("gap.csv")), "--out", str(tmp_path), *options]) == 2
    assert f"3.jpg has no {column}" in capsys.readouterr().err and not quick


def test_bad_photos_are_left_out_of_the_scores_too(data, tmp_path, quick, capsys):
    table = pd.read_csv(data)
    data.with_name("empty.jpg").write_bytes(b"")
    table.loc[0, "image"] = "empty.jpg"
    table.to_csv(data.with_name("bad.csv"), index=False)
    command = [str(data.with_name("bad.csv")), "--folds", "0"]
    assert main([*command, "--out", str(tmp_path / "strict")]) == 2
    assert "empty.jpg" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "lenient"), "--skip-bad"]) == 0
    assert re.search(r"^a +IoU [\d.]+ \(none\)", capsys.readouterr().out)  # one group of source a is left
    assert json.loads((tmp_path / "lenient" / "results.json").read_text())["all"]["photos"] == JOBS // 2 - 1


def test_one_source_is_left_out_at_a_time(data, tmp_path, quick):
    assert main([str(data), "--out", str(tmp_path), "--by-source"]) == 0
    assert [asked[4:6] for asked in quick] == [["--held-out-source", "a"], ["--held-out-source", "b"]]
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name: scores["photos"] for name, scores in results["sources"].items()} == {"a": 4, "b": 4}
    assert pd.read_csv(tmp_path / "a" / "photos.csv")["source"].unique() == ["a"]


def test_each_training_may_go_on_from_one_of_its_own_part(data, tmp_path, quick):
    assert main([str(data), "--out", str(tmp_path), "--weights", "first/{part}/model.npz"]) == 0
    assert [asked[-1] for asked in quick] == ["first/fold0/model.npz", "first/fold1/model.npz"]


def test_a_source_alone(data, tmp_path, quick):
    assert main([str(data), "--out", str(tmp_path), "--source", "b"]) == 0
    assert all(asked[6:8] == ["--source", "b"] for asked in quick)
    assert set(json.loads((tmp_path / "results.json").read_text())["sources"]) == {"b"}


def test_class_scores_are_pooled_over_the_parts(data, tmp_path, quick, monkeypatch):
    counts = iter([np.diag([5, 1, 0]), np.diag([5, 1, 0]) + [[0, 0, 0], [2, 0, 0], [0, 0, 0]]])
    monkeypatch.setattr(cross_validate, "load_segmenter", lambda path, style=None: Segmenter(
        lambda photos: np.zeros((*photos.shape[:3], 3), np.float32),
        {"size": 32, "classes": ["background", "fair", "poor"], "threshold": 0.5}))
    monkeypatch.setattr(cross_validate, "evaluate_classes", lambda segmenter, test, progress: class_scores(
        next(counts), segmenter.classes))
    assert main([str(data), "--out", str(tmp_path)]) == 0
    classes = json.loads((tmp_path / "results.json").read_text())["classes"]
    assert classes["confusion"] == [[10, 0, 0], [2, 2, 0], [0, 0, 0]]
    assert classes["class_iou"] == {"background": pytest.approx(10 / 12), "fair": 0.5, "poor": None}
    assert classes["mean_recall"] == 0.75


def test_a_failed_training_stops_it(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "main", lambda arguments: 2)
    assert main([str(data), "--out", str(tmp_path)]) == 2
    assert "the training without part 0 failed" in capsys.readouterr().err
    assert main([str(DATA), "--out", str(tmp_path / "new")]) == 2
    assert "there is no column 'fold'" in capsys.readouterr().err


def test_counts_are_read_as_they_were_written(data, tmp_path, quick):
    first = held_out_counts(data, tmp_path / "out", 0)
    pd.testing.assert_frame_equal(held_out_counts(data, tmp_path / "out", 0), first)


@pytest.mark.slow
def test_a_study_adds_what_is_missing(data, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(study, "VARIANTS", {"plain": (), "ema": ("--ema", "0.9")})
    results = tmp_path / "study.json"
    rows = study.run_study(data, tmp_path / "out", ["plain"], [0], [0], results=results)
    assert len(quick) == 1 and len(rows) == 2  # one training, two sources
    rows = study.run_study(data, tmp_path / "out", ["plain", "ema"], [0, 1], [0], results=results)
    assert len(quick) == 4 and len(rows) == 8
    assert [asked[-4:] for asked in quick if "--ema" in asked] == 2 * [["--ema", "0.9", "--seed", "0"]]
    stored = json.loads(results.read_text())
    assert [(row["variant"], row["fold"]) for row in stored] == [("plain", 0), ("ema", 0), ("plain", 1), ("ema", 1)]
    study.run_study(data, tmp_path / "quick", ["plain"], [0], [0], ["--epochs", "2"], results)
    assert len(quick) == 5  # other options are another row
    other = data.with_name("other.csv")
    other.write_text(data.read_text().replace("job0", "jobx"))
    with pytest.raises(TrainingError, match="settings.json is of another manifest"):
        study.run_study(other, tmp_path / "out", ["plain"], [0], [0])
    study.run_study(other, tmp_path / "new", ["plain"], [0], [0])
    assert len(json.loads((tmp_path / "new" / "study.json").read_text())) == 1  # no row of other data is taken over


def test_a_study_table_by_hand(tmp_path, capsys):
    def row(variant, fold, iou):
        return {"variant": variant, "options": "", "fold": fold, "seed": 0,
                "scores": {"web": {"iou": iou, "f1": 0.5, "share_error": None, "photos": 9}}}

    (tmp_path / "study.json").write_text(json.dumps([row("plain", 0, 0.5), row("plain", 1, 0.7), row("ema", 0, 0.6)]))
    table = study.study_table(study.read_rows(tmp_path / "study.json"))
    assert table[["variant", "runs"]].values.tolist() == [["plain", 2], ["ema", 1]]
    assert table["mean"].tolist() == pytest.approx([0.6, 0.6])
    assert table["spread"][0] == pytest.approx(0.2 / 2 ** 0.5) and np.isnan(table["spread"][1])
    assert study.main(["--table", "--results", str(tmp_path / "study.json")]) == 0
    assert "plain" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        study.main([])


def test_every_variant_is_made_of_options_that_train_knows(monkeypatch, tmp_path):
    from corroseg_utils import training_run

    seen = []
    monkeypatch.setattr(training_run, "train_model", lambda manifest, out, recipe, setup: seen.append((recipe, setup))
                        or {"validation_iou": 0, "threshold": 0.5})
    monkeypatch.setattr(cli, "_manifest", lambda options: read_data(DATA).head(0).assign(source=""))
    monkeypatch.setattr(cli, "_checked", lambda *arguments: read_data(DATA).head(3))
    for options in study.VARIANTS.values():
        assert cli.main(["train", str(tmp_path), "--out", str(tmp_path), *options]) == 0
    assert len(set(map(str, seen))) == len(study.VARIANTS) - 1  # a source is chosen when data are read
    assert cross_validate.name_of(3) == "fold3" and cross_validate.name_of("web") == "web"

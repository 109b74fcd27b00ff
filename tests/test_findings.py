import numpy as np
import pytest

from corroseg_utils.findings import corroded_share, find_regions, mark


def probabilities():
    """A 6x8 map: a 2x3 block at 0.9, a diagonal pair at 0.6, the rest at 0.1."""
    probability = np.full((6, 8), 0.1, np.float32)
    probability[0:2, 0:3] = 0.9
    probability[3, 5] = probability[4, 6] = 0.6
    return probability


def test_regions_are_sorted_with_area_box_and_confidence():
    probability = probabilities()
    labels, regions = find_regions(probability >= 0.5, probability)
    assert [r.area for r in regions] == [6, 2]
    assert [r.box for r in regions] == [(0, 0, 3, 2), (5, 3, 2, 2)]  # the diagonal pair is one region
    assert [r.confidence for r in regions] == pytest.approx([0.9, 0.6])
    assert [r.name for r in regions] == ["cor", "cor"]
    assert (labels == regions[0].label).sum() == 6


def test_region_class_is_the_majority():
    probability = probabilities()
    classes = np.zeros((6, 8), np.uint8)
    classes[0, 0:3] = 2
    classes[1, 0:2] = 1
    classes[3, 5] = classes[4, 6] = 3
    _, regions = find_regions(probability >= 0.5, probability, classes)
    assert [r.name for r in regions] == ["rus", "pit"]


def test_empty_and_full_masks():
    probability = probabilities()
    assert find_regions(np.zeros((6, 8), bool), probability)[1] == []
    _, (region,) = find_regions(np.ones((6, 8), bool), probability)
    assert region.area == 48 and region.box == (0, 0, 8, 6)


def test_unlike_shapes_are_an_error():
    with pytest.raises(ValueError, match="one shape"):
        find_regions(np.zeros((6, 7), bool), probabilities())


def test_share_and_interval_by_hand():
    share = corroded_share(probabilities(), 0.5)
    assert share.percent == 100 * 8 / 48
    assert share.low == 100 * 6 / 48  # at 0.75 the pair of 0.6 is out
    assert share.high == 100 * 8 / 48  # at 0.25 nothing joins


def test_a_faint_region_counts_only_where_it_is_sure_somewhere():
    probability = probabilities()
    assert mark(probability, 0.5).sum() == 8
    assert mark(probability, 0.5, 0.8).sum() == 6  # the pair of 0.6 goes
    probability[4, 6] = 0.8
    assert mark(probability, 0.5, 0.8).sum() == 8  # one sure pixel keeps its whole region
    assert not mark(np.zeros((3, 3), np.float32), 0.5, 0.8).any()
    assert mark(probability, 0.5, 0.3).sum() == 8  # below the threshold it demands nothing
    share = corroded_share(probabilities(), 0.5, sure=0.8)
    # Odds 4 times 3 are 12: 0.92, which nothing reaches; 4 / 3 are 0.57, which the pair does.
    assert (share.percent, share.low, share.high) == (100 * 6 / 48, 0, 100 * 8 / 48)


def test_share_of_a_surface():
    surface = np.zeros((6, 8), bool)
    surface[0:2] = True
    assert corroded_share(probabilities(), 0.5, surface).percent == 100 * 6 / 16
    with pytest.raises(ValueError, match="empty"):
        corroded_share(probabilities(), 0.5, np.zeros((6, 8), bool))


@pytest.mark.parametrize("threshold", [0.0, 1.0, float("nan")])
def test_threshold_outside_0_to_1_is_an_error(threshold):
    with pytest.raises(ValueError, match="threshold"):
        corroded_share(probabilities(), threshold)


@pytest.mark.parametrize(("threshold", "strict", "loose"), [(0.25, 0.5, 0.1), (0.5, 0.75, 0.25), (0.9, 27 / 28, 0.75)])
def test_interval_is_the_share_at_three_times_the_odds_and_at_a_third(threshold, strict, loose):
    probability = np.random.default_rng(0).random((50, 60), dtype=np.float32)
    share = corroded_share(probability, threshold)
    by_hand = [100 * float((probability >= limit).mean()) for limit in (strict, loose)]
    assert [share.low, share.high] == pytest.approx(by_hand)
    assert share.low < share.percent < share.high


def test_grade_agreement_by_hand(tmp_path):
    from report_helpers import ColourSegmenter, photo_with, save

    from corroseg_utils.dataset import read_pairs
    from corroseg_utils.grade_agreement import grade_agreement
    from corroseg_utils.photos import read_photo

    class Reading(ColourSegmenter):
        def read(self, path):
            photo = read_photo(path)
            return photo, self.probability(photo)

    # Photo and mask: alike; one grade apart (2 against 4 %); two apart (25 against 3.5 %, and another condition).
    for name, seen, drawn in (("a", (0, 0, 40, 30), (0, 0, 40, 30)), ("b", (0, 0, 8, 12), (0, 0, 16, 12)),
                              ("c", (0, 0, 40, 30), (0, 0, 14, 12))):
        save(tmp_path / "images" / f"{name}.png", photo_with(seen))
        mask = np.zeros((60, 80), np.uint8)
        mask[drawn[1]:drawn[3], drawn[0]:drawn[2]] = 1
        save(tmp_path / "masks" / f"{name}.png", mask)
    found = grade_agreement(Reading(), read_pairs(tmp_path / "images", tmp_path / "masks"))
    assert found == {"photos": 3, "d610_exact": 0.3333, "d610_within_one": 0.6667, "d610_too_good": 0.3333,
                     "d610_too_bad": 0.3333, "imo_exact": 0.3333,
                     "in_interval": 0.3333, "clean": 0, "clean_exact": None}


def test_tuning_drops_faint_marks_on_clean_photos_and_keeps_sure_ones_whole():
    from corroseg_utils.grade_agreement import THRESHOLDS, tune

    def pair(true, seen):
        truth, probability = np.zeros((50, 50), bool), np.full((50, 50), 0.05, np.float32)
        truth[:true], probability[:true], probability[:1, :seen] = True, 0.72, 0.97
        return truth, probability

    faint = np.zeros((50, 50), np.float32)
    faint[:10] = 0.85  # more than corrosion has at its borders, so that no threshold alone tells them apart
    pairs = [pair(10, 5), pair(20, 5), (np.zeros((50, 50), bool), faint)]
    threshold, sure = tune(pairs)
    assert threshold <= 0.7 and sure in (0.9, 0.95)
    assert tune(pairs[:2]) == (THRESHOLDS[0], None)  # nothing faint to drop: no demand


def test_grade_agreement_needs_photos_in_the_split(tmp_path, shared_data_2020, model_file, monkeypatch, capsys):
    from corroseg_utils import grade_agreement
    from corroseg_utils.errors import exit_code

    (tmp_path / "table.csv").write_text("image,mask,split\n" + "".join(
        f"{shared_data_2020}/photos/{job}_IMG_{number}.JPG,,test\n" for number, job in enumerate(("CDM_1", "CDM_2"))))
    for arguments, message in (([tmp_path / "table.csv", "--split", "train"], "the split train has no photo"),
                               ([tmp_path / "table.csv", "--tune"], "the split validation has no photo"),
                               ([tmp_path / "nowhere"], "nowhere")):
        monkeypatch.setattr("sys.argv", ["grade_agreement", *map(str, arguments), "--model", str(model_file)])
        assert exit_code(grade_agreement.main) == 2
        assert message in capsys.readouterr().err

"""A tiny data set in the 2020 layout, and small models, shared by all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow

import numpy as np
import pytest

from corroseg_utils.photos import write_jpeg, write_png

WIDTH, HEIGHT = 96, 64
JOBS = {"CDM_1": "train", "CDM_2": "train", "CDS_3": "validation", "CDS_4": "test"}


def tiny_photo(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey plate with a rust-red rectangle: photo uint8 (64, 96, 3), and where the red is, bool (64, 96)."""
    rng = np.random.default_rng(seed)
    photo = rng.integers(120, 150, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    top, left = int(rng.integers(4, 24)), int(rng.integers(4, 40))
    damage = np.zeros((HEIGHT, WIDTH), bool)
    damage[top : top + 28, left : left + 40] = True
    photo[damage] = (150, 60, 20)
    return photo, damage


def write_data_2020(folder):
    """Two photos a job; the first of each job has two overlapping findings, the second one has none."""
    rows = ["images_names,mask_1,mask_2,mask_3,mask_4"]
    for number, job in enumerate(JOBS):
        photo, damage = tiny_photo(number)
        name, clean = f"{job}_IMG_{number}", f"{job}_IMG_{number}0"
        write_jpeg(folder / "photos" / f"{name}.JPG", photo)
        write_jpeg(folder / "photos" / f"{clean}.JPG", tiny_photo(100 + number)[0])
        pit = damage.copy()
        pit[:, WIDTH // 2 :] = False
        write_png(folder / "masks" / f"_cor2_{name}.png", np.where(damage, 255, 0).astype(np.uint8))
        write_png(folder / "masks" / f"_pit1_{name}.png", np.where(pit, 255, 0).astype(np.uint8))
        rows += [f"{name},_cor2_{name},_pit1_{name},nothing,nothing", f"{clean},nothing,nothing,nothing,nothing"]
    (folder / "support_dataset.csv").write_text("\n".join(rows) + "\n")
    (folder / "split.csv").write_text("group,split\n" + "".join(f"{job},{split}\n" for job, split in JOBS.items()))
    return folder


@pytest.fixture
def data_2020(tmp_path):
    """A data set that a test may break."""
    return write_data_2020(tmp_path / "data")


@pytest.fixture(scope="session")
def shared_data_2020(tmp_path_factory):
    """The same, for tests that only read it."""
    return write_data_2020(tmp_path_factory.mktemp("shared") / "data")


@pytest.fixture(scope="session")
def seed_network():
    """The network of 2020 with its three classes at its size, untrained."""
    from corroseg_utils.models import unet_2020

    return unet_2020(128, 3, None)


@pytest.fixture(scope="session")
def edge_network():
    """A thin edge network for any size, untrained."""
    from corroseg_utils.models import edge_unet

    return edge_unet(None, 2, 0.35, None)


@pytest.fixture(scope="session")
def model_file(edge_network, tmp_path_factory):
    """A model file of the thin edge network."""
    from corroseg_utils.weights import save_model

    path = tmp_path_factory.mktemp("model") / "thin.npz"
    save_model(path, edge_network, {"network": "edge_unet", "alpha": 0.35, "classes": ["background", "corrosion"],
                                    "size": 64, "threshold": 0.5, "version": "test"})
    return path


@pytest.fixture(scope="session")
def red_segmenter():
    """A segmenter without a network: sure of corrosion where a pixel is red, sure of background elsewhere."""
    from corroseg_utils.segmenter import Segmenter

    def logits(photos):
        red = photos[..., 0].astype(np.float32) - photos[..., 2] - 60
        return np.stack([-red, red], -1)

    return Segmenter(logits, {"network": "red", "size": 96, "classes": ["background", "corrosion"], "threshold": 0.5})


@pytest.fixture(scope="session")
def exported(model_file, tmp_path_factory):
    """The thin edge network as .tflite files, by quantisation."""
    from edge_models import EXPORTED, SIZE, small_photos

    from corroseg_utils.export import convert
    from corroseg_utils.litert import with_about
    from corroseg_utils.weights import build_model, read_about

    folder, model = tmp_path_factory.mktemp("exported"), build_model(model_file, SIZE)
    about = {**read_about(model_file), "licence": "MIT"}
    for quantize in EXPORTED:
        flatbuffer = convert(model, SIZE, quantize, small_photos(8))
        (folder / f"{quantize}.tflite").write_bytes(with_about(flatbuffer, {**about, "quantize": quantize}))
    return {quantize: folder / f"{quantize}.tflite" for quantize in EXPORTED}


@pytest.fixture
def no_imagenet(monkeypatch):
    """A computer without ImageNet's weights and without a network."""
    import keras

    build = keras.applications.MobileNetV2

    def unreachable(*args, **options):
        if options.get("weights") == "imagenet":
            raise OSError("Name or service not known")
        return build(*args, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", unreachable)

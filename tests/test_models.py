"""Both networks, what they cost, and their model files."""

import sys
import types

import keras
import numpy as np
import pytest

from corroseg_utils import models, weights
from corroseg_utils.cost import count_macs, layer_costs
from corroseg_utils.models import (
    edge_unet,
    encoder_layers,
    equivalent_upsample,
    set_encoder_trainable,
    unet_2020,
)
from corroseg_utils.segmenter import EXACT, SHIPPED

ABOUT = {"network": "unet_2020", "classes": ["background", "a", "b"], "size": 128, "threshold": 0.5}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)


def test_the_seed_network_is_that_of_2020(seed_network):
    assert seed_network.count_params() == 6_504_227
    # Its decoder by hand: kernel 3 x 3, channels in (a block's and its skip's) and out, pixels in.
    decoder = 9 * (320 * 512 * 4**2 + (512 + 576) * 256 * 8**2 + (256 + 192) * 128 * 16**2 + (128 + 144) * 64 * 32**2
                   + (64 + 96) * 3 * 64**2)
    costs = layer_costs(seed_network)
    assert costs["macs"][costs["kind"] == "Conv2DTranspose"].sum() == decoder
    assert count_macs(seed_network) == pytest.approx(0.58e9, abs=0.01e9)
    assert seed_network.output_shape == (None, 128, 128, 3)
    sides = {name: seed_network.get_layer(name).output.shape[1] for name in (*models.SKIPS, models.BOTTOM)}
    assert list(sides.values()) == [64, 32, 16, 8, 4]


def test_the_edge_network_is_light_and_takes_any_size(edge_network):
    wide = edge_unet(128, 2, 1.0, None)
    assert wide.count_params() < 6_504_227 / 3
    assert count_macs(wide) < 0.58e9 / 3.5
    for shape in ((1, 64, 64, 3), (1, 96, 160, 3)):
        assert edge_network(np.zeros(shape, np.float32)).shape == (*shape[:3], 2)


@pytest.mark.parametrize("network", [unet_2020, edge_unet])
def test_a_size_that_cannot_be_halved_five_times_is_refused(network):
    with pytest.raises(ValueError, match="size=100.*such as 96"):
        network(100, encoder_weights=None)


def test_pixels_are_scaled_inside_the_model(seed_network, edge_network):
    for model in (seed_network, edge_network):
        scaled = model.get_layer("rescale")(np.array([[[[0.0, 127.5, 255.0]]]]))
        assert np.asarray(scaled).ravel() == pytest.approx([-1, 0, 1])


def test_the_encoder_alone_is_frozen_and_its_batch_norms_unless_asked_for(edge_network):
    encoder, norm = encoder_layers(edge_network), keras.layers.BatchNormalization
    decoder = [layer for layer in edge_network.layers if layer not in encoder]
    assert {layer.name.split("_")[0] for layer in decoder} == {"decoder", "logits"}
    assert not any(layer.name.startswith(("decoder", "logits")) for layer in encoder)
    set_encoder_trainable(edge_network, False)
    assert not any(layer.trainable_variables for layer in encoder)
    set_encoder_trainable(edge_network, True)
    assert all(bool(layer.trainable_variables) == (bool(layer.variables) and not isinstance(layer, norm))
               for layer in encoder)
    set_encoder_trainable(edge_network, True, batch_norm=True)
    assert all(layer.trainable for layer in [*encoder, *decoder])


def test_the_pix2pix_block_by_its_parts():
    block = equivalent_upsample(8)
    answer = np.asarray(block(np.ones((1, 5, 7, 4), np.float32)))
    assert answer.shape == (1, 10, 14, 8) and answer.min() >= 0
    assert [type(layer).__name__ for layer in block.layers] == ["Conv2DTranspose", "BatchNormalization", "ReLU"]
    assert block.count_params() == 3 * 3 * 4 * 8 + 4 * 8  # no bias


def test_the_pix2pix_block_equals_the_original():
    pix2pix = pytest.importorskip("tensorflow_examples.models.pix2pix.pix2pix",
                                  reason="tensorflow_examples is not installed: see requirements.txt")
    ours, theirs = equivalent_upsample(8), pix2pix.upsample(8, 3)
    x = np.random.default_rng(0).normal(size=(1, 5, 7, 4)).astype(np.float32)
    ours(x), theirs(x)
    assert [v.shape for v in ours.variables] == [v.shape for v in theirs.variables]
    ours.set_weights(theirs.get_weights())
    assert np.array_equal(np.asarray(ours(x)), np.asarray(theirs(x)))


def test_the_original_block_gets_a_fixed_name(monkeypatch):
    """Model files hold names, and Keras's own name for a block counts those built before."""
    original = types.SimpleNamespace(upsample=lambda filters, size: keras.Sequential([keras.Input((4, 4, filters))]))
    for name in ("tensorflow_examples", "tensorflow_examples.models"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "tensorflow_examples.models.pix2pix", types.SimpleNamespace(pix2pix=original))
    assert [models.pix2pix_upsample(4).name for _ in range(2)] == ["decoder_4", "decoder_4"]


@pytest.mark.parametrize(("layer", "parameters", "macs"), [
    (keras.layers.Conv2D(4, 3, padding="same"), 3 * 3 * 3 * 4 + 4, 3 * 3 * 3 * 4 * 8 * 8),
    (keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False), 108, 108 * 4 * 4),
    (keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False), 27, 27 * 8 * 8),
    (keras.layers.SeparableConv2D(5, 3, padding="same", use_bias=False), 27 + 15, (27 + 15) * 8 * 8),
    (keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=False), 108, 108 * 8 * 8),
    (keras.layers.BatchNormalization(), 12, 0),
], ids=lambda value: getattr(value, "name", None))
def test_the_cost_of_a_layer_by_hand(layer, parameters, macs):
    pixels = keras.Input((8, 8, 3))
    costs = layer_costs(keras.Model(pixels, layer(pixels)))
    assert costs[["parameters", "macs"]].values.tolist() == [[parameters, macs]]


def test_costs_cover_every_parameter_and_tell_the_stage(seed_network, edge_network):
    costs = layer_costs(seed_network)
    assert costs["parameters"].sum() == seed_network.count_params()
    strides = dict(zip(costs["layer"], costs["stride"], strict=True))
    assert [strides[name] for name in ("Conv1", "block_16_project", "logits")] == [2, 32, 1]
    with pytest.raises(ValueError, match="build the model with size=128"):
        layer_costs(edge_network)


def test_a_model_file_restores_the_seed_network_in_the_same_process(seed_network, tmp_path):
    """Keras numbers unnamed layers through the whole process: the file must not depend on that."""
    weights.save_model(tmp_path / "m.npz", seed_network, ABOUT)
    restored = weights.build_model(tmp_path / "m.npz")
    for old, new in zip(seed_network.variables, restored.variables, strict=True):
        assert np.array_equal(np.asarray(old).astype(np.float16), np.asarray(new))
    assert weights.read_about(tmp_path / "m.npz") == ABOUT


def test_a_model_file_restores_the_edge_network(edge_network, model_file):
    restored = weights.build_model(model_file)
    expected, answer = np.asarray(edge_network(PIXELS)), np.asarray(restored(PIXELS))
    assert np.abs(answer - expected).max() < 0.02 * np.abs(expected).max()  # float16
    names = [name for name, _ in weights._named_variables(restored)]
    assert len(set(names)) == len(restored.variables)


def test_a_file_of_another_network_is_refused(seed_network, model_file):
    with pytest.raises(weights.ModelError, match="belong to another network.*edge_unet"):
        weights.load_weights(seed_network, model_file)


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def write_no_model(folder, kind):
    path = folder / "m.npz"
    if kind == "text":
        path.write_text("no model")
    elif kind == "empty":
        path.touch()
    elif kind == "array":
        np.save(folder / "m.npy", np.zeros(3))
        path = folder / "m.npy"
    elif kind == "other npz":
        np.savez(path, a=np.zeros(3))
    elif kind == "description no JSON":
        np.savez(path, about=np.array("{"))
    elif kind == "pickle":
        np.savez(path, about=np.array([Trap(folder / "sprung")], object))
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "array", "other npz", "description no JSON", "pickle", "folder"])
def test_a_file_that_is_no_model_is_refused(tmp_path, kind):
    path = write_no_model(tmp_path, kind)
    with pytest.raises(weights.ModelError, match="this is no corroseg model.*Give a .npz file") as caught:
        weights.build_model(path)
    assert str(caught.value).startswith(str(path))
    assert kind == "pickle" or "pickle" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_a_damaged_model_file_is_refused(model_file, tmp_path):
    data = bytearray(model_file.read_bytes())
    for position in range(1000, len(data), 5000):
        data[position] ^= 0xFF
    for name, content in (("flipped.npz", data), ("cut.npz", data[: len(data) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(weights.ModelError, match=name):
            weights.read_about(tmp_path / name)


def test_a_missing_or_strange_model_file_is_named(tmp_path):
    with pytest.raises(weights.ModelError, match="gone.npz: there is no such model file"):
        weights.read_about(tmp_path / "gone.npz")
    with pytest.raises(weights.ModelError, match=r"m\.tflite: weights cannot be taken .* Give the \.npz file"):
        weights.read_about(tmp_path / "m.tflite")
    for about, words in (({"network": "resnet"}, "'resnet' is unknown"), ({"network": "edge_unet"}, "lacks 'classes'")):
        np.savez(tmp_path / "m.npz", about=np.array(weights.json.dumps(about)))
        with pytest.raises(weights.ModelError, match=words):
            weights.build_model(tmp_path / "m.npz")


def encoder_weights(model):
    return [np.asarray(v) for layer in encoder_layers(model) for v in layer.variables]


def test_the_encoder_starts_from_a_model_file(edge_network, model_file):
    model = edge_unet(64, 3, 0.35, str(model_file))  # another head: only the encoder is taken
    for new, old in zip(encoder_weights(model), encoder_weights(edge_network), strict=True):
        assert np.array_equal(new, old.astype(np.float16))
    with pytest.raises(weights.ModelError, match="of alpha=0.5.*or None .--encoder-weights none.*random weights"):
        edge_unet(64, 2, 0.5, str(model_file))


def test_without_imagenet_no_other_start_is_taken(no_imagenet):
    with pytest.raises(weights.ModelError, match="could not be fetched .Name or service not known.*KERAS_HOME"):
        edge_unet(64, 2, 0.35, "imagenet")


def test_imagenet_weights_reach_the_whole_encoder(edge_network, monkeypatch):
    build, donors = keras.applications.MobileNetV2, []

    def fetched(*args, **options):
        if options.get("weights") == "imagenet":
            donors.append(build((224, 224, 3), 0.35, include_top=False, weights=None))
            return donors[0]
        return build(*args, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV2", fetched)
    model = edge_unet(64, 2, 0.35, "imagenet")
    kept = {layer.name: layer for layer in donors[0].layers}
    for layer in encoder_layers(model):
        for new, old in zip(layer.variables, kept[layer.name].variables if layer.variables else (), strict=True):
            assert np.array_equal(np.asarray(new), np.asarray(old))


@pytest.mark.parametrize("path", [SHIPPED, EXACT], ids=lambda path: path.stem)
def test_a_shipped_model_can_be_used(path):
    if not path.exists():
        pytest.skip(f"data/weights/{path.name} is not there")
    about = weights.read_about(path)
    assert about["network"] in ("edge_unet", "unet_2020") and about["classes"][0] == "background"
    assert about["size"] % 32 == 0 and 0 < about["threshold"] < 1
    model = weights.build_model(path)
    assert all(np.isfinite(np.asarray(variable)).all() for variable in model.variables)  # none overflowed float16
    assert model.output_shape[-1] == len(about["classes"])


def test_a_whole_network_starts_from_a_file(edge_network, model_file):
    same, other = models.edge_unet(None, 2, 0.35, None), models.edge_unet(None, 5, 0.35, None)
    for model in (same, other):
        fresh = model.get_layer("logits_quarter").get_weights()[0]
        weights.load_weights(model, model_file, with_logits=model is same)
        for name in ("Conv1", "decoder_4_conv"):
            for new, old in zip(model.get_layer(name).get_weights(), edge_network.get_layer(name).get_weights(),
                                strict=True):
                np.testing.assert_allclose(new, old, atol=1e-3)
        last = model.get_layer("logits_quarter").get_weights()[0]
        if model is same:
            np.testing.assert_allclose(last, edge_network.get_layer("logits_quarter").get_weights()[0], atol=1e-3)
        else:
            assert np.array_equal(last, fresh)  # five classes cannot start from two
    with pytest.raises(weights.ModelError, match="belong to another network"):
        weights.load_weights(models.edge_unet(None, 2, 0.5, None), model_file)

"""The two networks of the course: the U-Net of 2020, and the one for use on small computers.

Both take pixels 0-255, scale them to [-1, 1] themselves, and give logits, one channel a class. Keras only, so that
the same code trains on any Keras backend.
"""

import keras
from keras import layers

from corroseg_utils.weights import load_encoder

# MobileNetV2's deepest feature map before each halving of the size: strides 2, 4, 8 and 16; then its end at 32.
SKIPS = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")
BOTTOM = "block_16_project"


def unet_2020(size: int = 128, classes: int = 2, encoder_weights: str | None = "corroseg",
              rescale: bool = True) -> keras.Model:
    """The U-Net of the 2020 solution: MobileNetV2 encoder, pix2pix decoder of transposed convolutions.

    Args:
        size: side of the input in pixels, a multiple of 32.
        classes: number of output channels (2020 used 3).
        encoder_weights: see `weights.load_encoder`.
        rescale: scale pixels 0-255 to [-1, 1] inside the model. Lesson 06 turns this off, as in 2020.

    Returns:
        A model from pixels float (B, size, size, 3) to logits float (B, size, size, classes).

    Raises:
        ValueError: the size is not a multiple of 32.
    """
    pixels, skips, x = _encoder(size, 1.0, rescale)
    for filters, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        x = layers.Concatenate(name=f"decoder_{filters}_join")([pix2pix_upsample(filters)(x), skip])
    logits = layers.Conv2DTranspose(classes, 3, strides=2, padding="same", name="logits")(x)
    model = keras.Model(pixels, logits, name="unet_2020")
    load_encoder(model, encoder_weights, 1.0)
    return model


def edge_unet(size: int | None = None, classes: int = 2, alpha: float = 1.0,
              encoder_weights: str | None = "corroseg") -> keras.Model:
    """A U-Net for small computers: thin skips, bilinear upsampling, and a decoder that ends at a quarter of the size.

    Its first two convolutions are depthwise-separable. The last, of few channels and many positions, is a plain one:
    its eight times as many multiplications take a CPU little time, as they keep it busy, while depthwise filters wait
    for memory (`python -m corroseg_utils benchmark`: share of the peak).

    Args:
        size: side of the input in pixels, a multiple of 32; None for any such size (calls of `predict` and the like
            must keep to one of them: Keras 3.15 cannot upsample to a size that is open when it traces the call).
        classes: number of output channels; 2 for corrosion against background.
        alpha: width of the decoder and of the MobileNetV2 encoder, which has ImageNet weights for 0.35, 0.5, 0.75, 1.0,
            1.3 and 1.4, and weights of ours for 1.0 alone.
        encoder_weights: see `weights.load_encoder`.

    Returns:
        A model from pixels float (B, size, size, 3) to logits float (B, size, size, classes).

    Raises:
        ValueError: the size is not a multiple of 32.
        ModelError: see `weights.load_encoder`.
    """
    pixels, skips, x = _encoder(size, alpha, rescale=True)
    width = 8 * round(8 * alpha)
    for stride, skip in zip((16, 8, 4), reversed(skips[1:]), strict=True):
        name = f"decoder_{stride}"
        # The skips are MobileNetV2's widest tensors (up to 576 channels): a 1x1 convolution keeps what is needed.
        skip = _norm_relu(layers.Conv2D(width // 2, 1, use_bias=False, name=f"{name}_skip")(skip), f"{name}_skip")
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_upsample")(x)
        x = layers.Concatenate(name=f"{name}_join")([x, skip])
        convolution = layers.Conv2D if stride == 4 else layers.SeparableConv2D
        x = convolution(width, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = _norm_relu(x, f"{name}_conv")
    x = layers.Conv2D(classes, 1, name="logits_quarter")(x)
    # The last doublings cost nothing this way, and borders are finer than a pixel of the quarter-size map.
    logits = layers.UpSampling2D(4, interpolation="bilinear", name="logits")(x)
    model = keras.Model(pixels, logits, name="edge_unet")
    load_encoder(model, encoder_weights, alpha)
    return model


def pix2pix_upsample(filters: int) -> keras.Model:
    """The decoder block of 2020: from `tensorflow_examples` where it is installed, else the equivalent layers."""
    try:
        from tensorflow_examples.models.pix2pix import pix2pix
    except ImportError:
        return equivalent_upsample(filters)
    block = pix2pix.upsample(filters, 3)
    block.name = f"decoder_{filters}"  # Keras's own name counts the blocks built before, and model files hold names
    return block


def equivalent_upsample(filters: int) -> keras.Model:
    """What `tensorflow_examples.models.pix2pix.upsample(filters, 3)` builds: doubles height and width."""
    return keras.Sequential([
        layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False,
                               kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02)),
        layers.BatchNormalization(),
        layers.ReLU(),
    ], name=f"decoder_{filters}")


def encoder_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model that belong to its MobileNetV2 encoder."""
    return [layer for layer in model.layers if not layer.name.startswith(("decoder", "logits"))]


def set_encoder_trainable(model: keras.Model, trainable: bool, batch_norm: bool = False) -> None:
    """Freeze or free the encoder; its batch norms stay frozen unless `batch_norm` frees them too.

    Frozen, they keep ImageNet's statistics, which are better than those of a short training. A training of hundreds of
    batches and more learns faster with its own.
    """
    for layer in encoder_layers(model):
        layer.trainable = trainable and (batch_norm or not isinstance(layer, layers.BatchNormalization))


def _encoder(size: int | None, alpha: float, rescale: bool):
    if size is not None and size % 32:
        raise ValueError(f"size={size}: MobileNetV2 halves the photo five times, so the size must be a multiple "
                         f"of 32, such as {max(32, round(size / 32) * 32)}.")
    pixels = keras.Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pixels) if rescale else pixels
    encoder = keras.applications.MobileNetV2(input_tensor=x, alpha=alpha, include_top=False, weights=None)
    skips = [encoder.get_layer(name).output for name in SKIPS]
    return pixels, skips, encoder.get_layer(BOTTOM).output


def _norm_relu(x, name: str):
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)

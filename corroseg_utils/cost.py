"""What a network costs: parameters and multiply-accumulates (MACs), layer by layer."""

import keras
import numpy as np
import pandas as pd
from keras import layers


def layer_costs(model: keras.Model) -> pd.DataFrame:
    """Cost of every layer that has one, for a batch of one photo.

    MACs follow the definitions of the layers (Howard et al. 2017, arXiv 1704.04861, section 3.1): a convolution of
    kernel k x k from C to D channels costs k*k*C*D for each output pixel, a depthwise one k*k*C, a transposed one
    k*k*C*D for each input pixel. Batch norm, activations and upsampling are not counted.

    Args:
        model: built for a fixed size.

    Returns:
        Columns layer, kind, stride (input side over output side of the model's grid), parameters, macs.

    Raises:
        ValueError: the model accepts any size, so that its cost is not defined.
    """
    if None in model.input_shape[1:]:
        raise ValueError("The cost depends on the photo's size: build the model with size=128, say.")
    side = model.input_shape[1]
    rows = []
    for layer in _flat(model):
        if layer.count_params():
            rows.append({"layer": layer.name, "kind": type(layer).__name__, "stride": side // layer.output.shape[1],
                         "parameters": layer.count_params(), "macs": _macs(layer)})
    return pd.DataFrame(rows)


def count_macs(model: keras.Model) -> int:
    """Multiply-accumulates of one photo through the whole model; see `layer_costs`."""
    return int(layer_costs(model)["macs"].sum())


def _flat(model: keras.Model):
    for layer in model.layers:
        yield from _flat(layer) if isinstance(layer, keras.Model) else [layer]


def _macs(layer: layers.Layer) -> int:
    pixels_in = int(np.prod(layer.input.shape[1:3])) if not isinstance(layer.input, list) else 0
    pixels_out = int(np.prod(layer.output.shape[1:3]))
    if isinstance(layer, layers.SeparableConv2D):
        weights = np.prod(layer.depthwise_kernel.shape) + np.prod(layer.pointwise_kernel.shape)
        return int(weights) * pixels_out
    if isinstance(layer, layers.Conv2DTranspose):
        return int(np.prod(layer.kernel.shape)) * pixels_in
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        return int(np.prod(layer.kernel.shape)) * pixels_out
    return 0

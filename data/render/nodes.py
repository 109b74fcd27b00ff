"""A small notation for shader node trees: values are `Value` objects, and `+ - *` make math nodes."""

from __future__ import annotations

import bpy
import numpy as np


class Value:
    """An output socket that can be computed with."""

    def __init__(self, graph: Graph, socket):
        self.graph, self.socket = graph, socket

    def __add__(self, other):
        return self.graph.math("ADD", self, other)

    def __sub__(self, other):
        return self.graph.math("SUBTRACT", self, other)

    def __rsub__(self, other):
        return self.graph.math("SUBTRACT", other, self)

    def __mul__(self, other):
        return self.graph.math("MULTIPLY", self, other)

    __radd__, __rmul__ = __add__, __mul__


class Graph:
    """The node tree of one material or world."""

    def __init__(self, tree):
        self.tree = tree
        tree.nodes.clear()

    def plug(self, socket, value) -> None:
        """Link a Value into a socket, or set its constant."""
        if isinstance(value, Value):
            self.tree.links.new(value.socket, socket)
        elif socket.type == "RGBA":
            socket.default_value = (*value[:3], 1.0)
        else:
            socket.default_value = value

    def node(self, kind: str, inputs: dict | None = None, **properties):
        """A node with properties set and inputs plugged by name or index."""
        node = self.tree.nodes.new(kind)
        for key, value in properties.items():
            setattr(node, key, value)
        for key, value in (inputs or {}).items():
            self.plug(node.inputs[key], value)
        return node

    def value(self, kind: str, output=0, inputs: dict | None = None, **properties) -> Value:
        """One output of a new node."""
        return Value(self, self.node(kind, inputs, **properties).outputs[output])

    def math(self, operation: str, a, b=0.0, c=0.0, clamp: bool = False) -> Value:
        return self.value("ShaderNodeMath", 0, {0: a, 1: b, 2: c}, operation=operation, use_clamp=clamp)

    def step(self, x, width: float) -> Value:
        """Ramp from 0 to 1 as x passes from -width/2 to width/2."""
        return self.math("MULTIPLY_ADD", x, 1 / width, 0.5, clamp=True)

    def mix(self, factor, a, b) -> Value:
        """Colour b where factor is 1, a where it is 0."""
        return self.value("ShaderNodeMix", 2, {0: factor, 6: a, 7: b}, data_type="RGBA")

    def blend(self, factor, a, b) -> Value:
        """Number b where factor is 1, a where it is 0."""
        return self.value("ShaderNodeMix", 0, {0: factor, 2: a, 3: b}, data_type="FLOAT")

    def channels(self, colour: Value) -> list[Value]:
        node = self.node("ShaderNodeSeparateColor", {0: colour})
        return [Value(self, node.outputs[i]) for i in range(3)]

    def axes(self, vector: Value) -> list[Value]:
        return [Value(self, socket) for socket in self.node("ShaderNodeSeparateXYZ", {0: vector}).outputs]

    def ramp(self, x, colours: list) -> Value:
        """Evenly spaced colours along x from 0 to 1."""
        node = self.node("ShaderNodeValToRGB", {0: x})
        stops = node.color_ramp.elements
        while len(stops) < len(colours):
            stops.new(0.5)
        for i, colour in enumerate(colours):
            stops[i].position = i / (len(colours) - 1)
            stops[i].color = (*colour, 1)
        return Value(self, node.outputs[0])

    def image(self, image, vector: Value, scale) -> list[Value]:
        """Channels of a tiling image; `scale` (number or triple) counts tiles per unit of `vector`."""
        triple = scale if isinstance(scale, tuple) else (scale,) * 3
        scaled = self.value("ShaderNodeVectorMath", 0, {0: vector, 1: triple}, operation="MULTIPLY")
        return self.channels(self.value("ShaderNodeTexImage", 0, {0: scaled}, image=image))

    def aov(self, name: str, colour) -> None:
        self.node("ShaderNodeOutputAOV", {0: colour}).aov_name = name

    def combine(self, r, g, b) -> Value:
        return self.value("ShaderNodeCombineColor", 0, {0: r, 1: g, 2: b})


def load_image(name: str, pixels: np.ndarray, bright: bool = False):
    """A Blender image from an (h, w, 3) array of linear numbers: 8 bits, or float when `bright` (values above 1)."""
    h, w, _ = pixels.shape
    image = bpy.data.images.new(name, w, h, alpha=False, float_buffer=bright, is_data=True)
    rgba = np.ones((h, w, 4), np.float32)
    rgba[..., :3] = pixels
    image.pixels.foreach_set(rgba.ravel())
    image.pack()
    return image

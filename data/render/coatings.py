"""Materials. A coated surface mixes paint, look-alikes and the four kinds of damage; the same mix factors that colour a
pixel are written to shader outputs (AOV), so the mask is what is seen.

AOV `dmg` holds cor, rus, pit; `aux` holds lom, coated steel, dirt; `look` holds run-off, red or brown coating, object.
"""

import colorsys

import bpy
import numpy as np
from nodes import Graph, Value
from plan import PAINTS, REDDISH

# From dark to light, linear RGB; real rust runs from nearly black scale to bright orange bloom.
RUSTS = {
    "orange": [(0.05, 0.016, 0.007), (0.19, 0.057, 0.016), (0.39, 0.125, 0.028), (0.55, 0.24, 0.06)],
    "brown": [(0.016, 0.009, 0.007), (0.07, 0.028, 0.014), (0.17, 0.065, 0.026), (0.33, 0.15, 0.06)],
    "dark": [(0.006, 0.005, 0.005), (0.026, 0.014, 0.01), (0.08, 0.034, 0.018), (0.22, 0.088, 0.034)],
    "ochre": [(0.06, 0.024, 0.009), (0.19, 0.08, 0.025), (0.35, 0.17, 0.048), (0.5, 0.31, 0.11)],
    "purple": [(0.013, 0.007, 0.007), (0.055, 0.02, 0.017), (0.13, 0.046, 0.031), (0.28, 0.11, 0.065)],
}


def linear(code: str) -> np.ndarray:
    """Linear RGB of an sRGB hex code."""
    c = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


class Workshop:
    """Makes the materials of one job from its random atlases."""

    def __init__(self, rng: np.random.Generator, rough, relief, style: dict):
        self.rng, self.rough, self.relief, self.style = rng, rough, relief, style

    def begin(self, name: str):
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        return material, Graph(material.node_tree)

    def finish(self, g: Graph, colour, roughness, layers: list, metallic=0.0, opacity=None) -> None:
        """Principled surface with bump `layers` of (height 0..1, its size in metres) and holes where `opacity` is 0."""
        inputs = {"Base Color": colour, "Roughness": roughness, "Metallic": metallic}
        for height, size in layers:
            below = {"Normal": inputs["Normal"]} if "Normal" in inputs else {}
            inputs["Normal"] = g.value(
                "ShaderNodeBump", 0, {"Strength": 1.0, "Distance": size, "Height": height, **below}
            )
        shader = g.node("ShaderNodeBsdfPrincipled", inputs).outputs[0]
        if opacity is not None:
            clear = g.node("ShaderNodeBsdfTransparent")
            mix = g.node("ShaderNodeMixShader", {0: opacity})
            g.tree.links.new(clear.outputs[0], mix.inputs[1])
            g.tree.links.new(shader, mix.inputs[2])
            shader = mix.outputs[0]
        g.tree.links.new(shader, g.node("ShaderNodeOutputMaterial").inputs[0])

    def streaks(self, g: Graph, place: Value) -> Value:
        """Vertical streaks 0..1 on walls, even 0.4 on floors and ceilings, where nothing runs."""
        x, y, z = g.axes(place)
        fall = g.value("ShaderNodeCombineXYZ", 0, {0: x + y * 0.7, 1: z * 0.35, 2: 0.0})
        _, _, runs = g.image(self.relief, fall, 0.9)
        _, _, up = g.axes(g.value("ShaderNodeNewGeometry", "True Normal"))
        return g.blend(g.math("MULTIPLY", up, up), runs, 0.4)

    def coated(self, name: str, paint: str, kinds: tuple[str, ...], perforate: bool = False, metal: bool = False):
        """Painted or galvanised steel that carries damage."""
        rng, s = self.rng, self.style
        material, g = self.begin(name)
        uv = g.value("ShaderNodeUVMap", 0, uv_map="metres")
        place = g.value("ShaderNodeTexCoord", "Object")
        clouds = g.value("ShaderNodeTexNoise", 0, {"Vector": place, "Scale": s["large"], "Detail": 1.0})
        c1, r1, s1 = g.image(self.rough, uv, s["scale"])
        c2, r2, s2 = g.image(self.rough, uv, s["scale"] * 5.3)
        flakes, craters, _ = g.image(self.relief, uv, s["scale"] * s["flake"])
        streaks = self.streaks(g, place)

        def field(attribute: str) -> list[Value]:
            node = g.node("ShaderNodeAttribute", attribute_name=attribute)
            return [*g.channels(Value(g, node.outputs["Color"])), Value(g, node.outputs["Alpha"])]

        cor, rus, pit, lom = field("damage")
        runoff, primer, dirt, near = field("look")
        # Several octaves of raggedness; the spread of this sum is damage.NOISE_SPREAD.
        ragged = (clouds - 0.5) * 0.8 + (c1 - 0.5) * s["ragged"] + (c2 - 0.5) * 0.14
        sharp = 0.03
        f_lom, f_pit = lom + ragged, pit + ragged
        f_cor = cor + ragged + (r1 - 0.5) * 0.12
        f_rus = rus + ragged * 0.6 + (s1 - 0.5) * s["spotty"] + (s2 - 0.5) * 0.16
        m_lom = g.step(f_lom, sharp)
        m_pit = g.step(f_pit, sharp) * (1.0 - m_lom)
        free = (1.0 - m_lom) * (1.0 - m_pit)
        m_cor = g.step(f_cor, sharp) * free
        m_rus = g.step(f_rus, sharp) * free * (1.0 - m_cor)
        bare = g.math("ADD", m_lom + m_pit, m_cor + m_rus, clamp=True)
        worst = g.math("MAXIMUM", g.math("MAXIMUM", f_lom, f_pit), g.math("MAXIMUM", f_cor, f_rus))

        # Coating: faded clouds, grime by streak and crevice.
        base = np.minimum(linear(PAINTS[paint]) * rng.uniform(0.85, 1.15, 3) * rng.uniform(0.75, 1.1), 0.9)
        grime = linear(str(rng.choice(["#4a4238", "#5d5348", "#3b3c3c", "#6a5a45"])))
        tone = g.ramp(
            clouds * 0.4 + c1 * 0.3 + c2 * 0.3,
            [base * (1 - 0.35 * s["wear"]), base, base * (1 - 0.1 * s["wear"]) + 0.08 * s["wear"]],
        )
        sooty = g.math("MULTIPLY", streaks - 0.45, s["grime"] * 1.2, clamp=True) + g.math(
            "MULTIPLY", near - 0.15, 0.5 * s["grime"], clamp=True
        )
        colour = g.mix(g.math("MINIMUM", sooty * (0.4 + c2), 0.75), tone, grime)
        m_primer = g.step(primer - 0.15 + ragged * 0.5, 0.04)
        colour = g.mix(m_primer * 0.95, colour, linear(s["primer"]) * 0.9)
        dirty = g.step(dirt + (c1 - 0.5) * 0.7 + (c2 - 0.5) * 0.3, 0.4)
        soil = base * 0.55 if s["wet"] else s["dirt"]
        colour = g.mix(dirty * s["soiled"], colour, g.mix(c2, soil * 0.6, soil * 1.3))
        # Run-off: thin brown film in streaks, strongest right below the rust; never labelled.
        film = g.math("MULTIPLY", runoff * (streaks * 1.5 - 0.15) * (0.5 + c2 * 0.5), s["stain"], clamp=True)
        colour = g.mix(film * (1.0 - bare), colour, s["film"])
        # Rust bleeds a little into the coating around it; then a halo of lost coating before the rust itself.
        bleed = g.step(worst + 0.05 + (streaks - 0.5) * 0.1, 0.25) * (0.3 + c2 * 0.7)
        colour = g.mix(bleed * s["bleed"], colour, s["film"])
        halo = g.step(worst + 0.05 + (c2 - 0.5) * 0.06, 0.09)
        colour = g.mix(halo * s["halo"], colour, s["ring"])

        # Rust: two palettes in large clouds, fine mottling, powder on high places.
        mottle = g.math("MULTIPLY_ADD", c1 * 0.35 + c2 * 0.4 + r2 * 0.35 + s2 * 0.15 - 0.62, 1.35, 0.48, clamp=True)
        deep = g.math("MULTIPLY_ADD", c1 * 0.3 + flakes * 0.5 + c2 * 0.4 - 0.6, 1.7, 0.42, clamp=True)
        first, second, scale = (g.ramp(x, RUSTS[p]) for x, p in zip((mottle, mottle, deep), s["rusts"], strict=True))
        blendish = g.step((clouds - 0.5) * 1.6 + (r1 - 0.5) * 0.6, 0.5)
        thin = g.mix(g.step(f_rus - 0.12, 0.3) * 0.6 + 0.4 * blendish, first, second)
        fine = g.step((r2 - 0.5) * 0.8 + (c1 - 0.5) * 0.8 + (s2 - 0.5) * 0.3 - s["bloom"], 0.35)
        general = g.mix(fine, g.mix(blendish * 0.8, second, scale), first)
        floor = g.mix(craters * 0.95, g.mix(0.4, second, linear("#6e6862") * 0.5), (0.004, 0.003, 0.003))
        # Thin rust lets some of the coating through at its border.
        colour = g.mix(m_rus * g.blend(g.step(f_rus - 0.08, 0.2), 0.65, 1.0), colour, thin)
        colour = g.mix(m_cor, colour, general)
        colour = g.mix(m_pit, colour, floor)
        colour = g.mix(m_lom, colour, g.mix(fine * 0.6, scale, second))

        # Relief: the masks set the height of each layer from outside, so that only image lookups are differentiated.
        layers = [
            ((c2 + r2 + s2 * 0.6), bare * 0.0013 + (m_cor + m_lom) * (0.0012 * s["depth"]) + 0.00012 * s["texture"])
        ]
        if {"cor", "lom"} & set(kinds):
            layers.append((flakes, m_cor * (0.004 * s["depth"]) + m_lom * (0.016 * s["depth"])))
        if "pit" in kinds:
            layers.append((1.0 - craters, m_pit * (0.009 * s["depth"])))
        rough = g.blend(bare, g.blend(dirty, s["gloss"], 0.15 if s["wet"] else 0.85), 0.62 + c2 * 0.35)
        hole = 1.0 - g.step(f_lom - s["hole"], 0.02) if perforate else None
        seen = hole if perforate else 1.0
        g.aov("dmg", g.combine(m_cor * seen, m_rus * seen, m_pit * seen))
        g.aov("aux", g.combine(m_lom * seen, seen, dirty * (1.0 - bare) if s["muddy"] else 0.0))
        reddish = 1.0 if paint in REDDISH else m_primer
        g.aov("look", g.combine(film * 2.0 * (1.0 - bare), (1.0 - bare) * reddish, 0.0))
        self.finish(g, colour, rough, layers, (1.0 - bare) * 0.85 if metal else 0.0, hole)
        return material

    def plain(
        self,
        name: str,
        colours: list,
        roughness: float,
        relief: float = 0.001,
        scale: float = 1.0,
        metallic: float = 0.0,
        look=(0, 0, 0),
        stained: bool = False,
    ):
        """A mottled material without damage: concrete, gravel, wood, rope, rubber, cladding."""
        material, g = self.begin(name)
        uv = g.value("ShaderNodeUVMap", 0, uv_map="metres")
        c1, r1, s1 = g.image(self.rough, uv, 0.45 * scale)
        c2, _, s2 = g.image(self.rough, uv, 3.1 * scale)
        colour = g.ramp(c1 * 0.45 + c2 * 0.35 + s2 * 0.2, colours)
        film = None
        if stained:
            place = g.value("ShaderNodeTexCoord", "Object")
            streaks = self.streaks(g, place)
            look_field = g.node("ShaderNodeAttribute", attribute_name="look")
            runoff, _, _ = g.channels(Value(g, look_field.outputs["Color"]))
            colour = g.mix(
                g.math("MULTIPLY", streaks - 0.5, 1.3 * self.style["grime"], clamp=True),
                colour,
                np.array(colours[0]) * 0.35,
            )
            film = g.math("MULTIPLY", runoff * (0.4 + streaks) * (0.4 + c2 * 0.8), self.style["stain"], clamp=True)
            colour = g.mix(film, colour, self.style["film"])
        g.aov("look", g.combine(film * 2.0 if film else look[0], look[1], look[2]))
        self.finish(g, colour, roughness, [(c2 + s2 * 0.6, relief)], metallic)
        return material

    def flat(self, name: str, colour, roughness: float = 0.5, metallic: float = 0.0, look=(0, 0, 0)):
        """A uniform material."""
        material, g = self.begin(name)
        g.aov("look", look)
        self.finish(g, colour, roughness, [], metallic)
        return material


def random_style(rng: np.random.Generator, lookalikes: tuple[str, ...]) -> dict:
    """Numbers that give one job its look: wear, grime, rust palettes, relief."""
    thin = str(rng.choice(["orange", "ochre", "brown", "orange"]))
    second = str(rng.choice(["brown", "orange", "purple", "brown", "dark", "ochre"]))
    scale = str(rng.choice(["dark", "brown", "purple", "dark"]))
    primer = str(rng.choice(["#7d3a2c", "#8a4a38", "#6e3b30", "#8f8f8a", "#94503c"]))
    film = np.array(RUSTS[str(rng.choice(["orange", "ochre", "brown"]))][2]) * rng.uniform(0.35, 0.9)
    soil = linear(str(rng.choice(["#6b5a45", "#8b7a62", "#4f463c", "#7a6f60", "#7d5433", "#8a5a38", "#63412b"])))
    wet = "wet" in lookalikes
    muddy = wet or "mud" in lookalikes or "oil" in lookalikes
    if "oil" in lookalikes:
        soil = np.array([0.012, 0.01, 0.008])
    ring = [film * 1.2, linear(primer), np.array([0.25, 0.2, 0.15]), np.array([0.4, 0.34, 0.27])][
        int(rng.integers(0, 4))
    ]
    return {
        "rusts": (thin, second, scale),
        "primer": primer,
        "film": film,
        "dirt": soil,
        "ring": ring,
        "muddy": muddy,
        "wet": wet,
        "tinted": "tint" in lookalikes,
        "soiled": 0.85 if muddy else rng.uniform(0.05, 0.35),
        "large": rng.uniform(1.5, 5),
        "scale": rng.uniform(0.6, 1.3),
        "flake": rng.uniform(1.2, 3),
        "ragged": rng.uniform(0.15, 0.38),
        "spotty": rng.uniform(0.3, 0.8),
        "wear": rng.random(),
        "grime": rng.random() ** 1.3,
        "stain": rng.uniform(0.3, 1.0),
        "halo": rng.uniform(0.2, 0.8),
        "texture": rng.uniform(0.3, 2.0),
        "gloss": rng.uniform(0.25, 0.75),
        "depth": rng.uniform(0.5, 1.6),
        "hole": rng.uniform(0.2, 0.5),
        "bloom": rng.uniform(-0.15, 0.3),
        "bleed": rng.uniform(0.0, 0.6),
    }


def make_materials(
    names: list[str],
    rng: np.random.Generator,
    shop: Workshop,
    paints: tuple[str, str],
    kinds: tuple[str, ...],
    any_soil: bool,
) -> dict:
    """A material for every name used by the model; soil has one of four colours, or with `any_soil` any that
    soil can have."""
    grey = rng.uniform(0.16, 0.42)
    # Old concrete under rusting steel is often nearly as brown as the rust.
    brown = rng.random() < 0.45
    warm = np.array(
        [1.0, rng.uniform(0.7, 0.88), rng.uniform(0.42, 0.7)]
        if brown
        else [1.0, rng.uniform(0.92, 1.0), rng.uniform(0.78, 0.98)]
    )
    stone = [grey * warm * k for k in (0.55, 0.9, 1.0, 1.25)]
    wood = linear(str(rng.choice(["#8a6a48", "#6e5236", "#a08460", "#7a4a2c", "#94623a"])))
    tan = linear("#a98d60")
    earth = linear(str(rng.choice(["#5f4d37", "#7b5a3c", "#6d4630", "#8d7a5c"])))
    if any_soil:
        # Sand and clay, peat and red soil, in linear light: hues from 13 to 36 degrees.
        earth = np.array(colorsys.hsv_to_rgb(rng.uniform(0.035, 0.1), rng.uniform(0.45, 0.85), rng.uniform(0.06, 0.35)))
    accent = linear(PAINTS[str(rng.choice(["signal red", "navy", "dark green", "yellow", "black"]))])
    deck_paint = linear(PAINTS[str(rng.choice(["dark green", "red oxide", "dark grey", "haze grey"]))])
    sign = linear(str(rng.choice(["#d8b020", "#c03020", "#e8e8e0", "#2060a0"])))
    # Heat tint near welds: straw, brown, purple, blue.
    tints = [linear(c) for c in ("#c8b27a", "#a8763e", "#6b4650", "#4d5a7c")]
    bright = [np.array((0.4, 0.39, 0.37)), np.array((0.55, 0.54, 0.52))]
    steel = [*bright, *tints] if shop.style["tinted"] else bright
    make = {
        "paint": lambda: shop.coated("paint", paints[0], kinds, "lom" in kinds),
        "paint2": lambda: shop.coated("paint2", paints[1], kinds),
        "rail": lambda: shop.coated("rail", str(rng.choice(["yellow", "white", "haze grey"])), kinds),
        "galvanised": lambda: shop.coated("galvanised", "aluminium", kinds, metal=True),
        "stainless": lambda: shop.plain(
            "stainless", steel, 0.32, 0.0002, 1, 1.0, look=(0, 0, 1) if shop.style["tinted"] else (0, 0, 0)
        ),
        "cladding": lambda: shop.plain("cladding", [(0.42, 0.43, 0.44), (0.6, 0.6, 0.6)], 0.4, 0.002, 0.5, 0.9),
        "concrete": lambda: shop.plain("concrete", stone, 0.9, 0.0009, stained=True),
        "deck": lambda: shop.plain("deck", [deck_paint * k for k in (0.5, 0.8, 1.0, 1.1)], 0.7, 0.002, stained=True),
        "gravel": lambda: shop.plain(
            "gravel", [np.array([0.05, 0.045, 0.04]), stone[1], stone[3] * 1.3], 0.95, 0.05, 1.6
        ),
        "soil": lambda: shop.plain("soil", [earth * 0.3, earth, earth * 1.8], 0.95, 0.03, 1.3, look=(0, 0, 1)),
        "wood": lambda: shop.plain("wood", [wood * 0.4, wood, wood * 1.2], 0.8, 0.002, 2.0, look=(0, 0, 1)),
        "rope": lambda: shop.plain("rope", [tan * 0.4, tan, tan * 1.3], 0.9, 0.004, 6.0, look=(0, 0, 1)),
        "leaf": lambda: shop.plain(
            "leaf", [(0.02, 0.05, 0.01), (0.07, 0.13, 0.03), (0.16, 0.2, 0.06)], 0.6, 0.001, 2.0
        ),
        "rubber": lambda: shop.flat("rubber", (0.02, 0.02, 0.022), 0.7),
        "accent": lambda: shop.flat("accent", accent, 0.4),
        "sign": lambda: shop.flat("sign", sign, 0.4, look=(0, 0, 1)),
        "tape": lambda: shop.flat("tape", (0.75, 0.6, 0.2), 0.4),
        "glass": lambda: shop.flat("glass", (0.8, 0.8, 0.78), 0.1),
    }
    return {name: make[name]() for name in names}

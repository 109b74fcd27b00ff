"""Where corrosion grows: vertex fields around starting points, thresholded later by fine noise in the shader."""

from dataclasses import dataclass

import bpy  # noqa: F401  (mathutils exists only once bpy is loaded)
import numpy as np
from mathutils.kdtree import KDTree
from mesh import Model
from plan import CLASSES

CORRODIBLE = ("paint", "paint2", "rail", "galvanised")
# Spread of the shader's noise sum (see coatings.ragged); used to predict the corroded share at a threshold.
NOISE_SPREAD = 0.17
# Per class: site radius in metres, share of the susceptible surface, pull towards edges and welds.
HABIT = {
    "cor": ((0.2, 1.2), (0.03, 0.46), 0.55),
    "rus": ((0.2, 1.0), (0.012, 0.22), 0.5),
    "pit": ((0.1, 0.4), (0.015, 0.09), 0.15),
    "lom": ((0.15, 0.55), (0.02, 0.15), 0.6),
}


@dataclass
class Site:
    """One starting place, kept as a target for the camera."""

    centre: np.ndarray
    normal: np.ndarray


def vertex_material(model: Model) -> np.ndarray:
    """Material index of every vertex."""
    points, _, quads, material = model.arrays()
    out = np.zeros(len(points), int)
    out[quads] = material[:, None]
    return out


def closeness(model: Model, points: np.ndarray) -> np.ndarray:
    """0..1.4, high within a few centimetres of edges, welds, bolts and contacts, by their weight."""
    features = np.concatenate(model.features)
    tree = KDTree(len(features))
    for i, f in enumerate(features):
        tree.insert(f[:3], i)
    tree.balance()
    reach = model.rng.uniform(0.025, 0.08)
    out = np.zeros(len(points))
    for i, p in enumerate(points):
        out[i] = max(features[k, 3] * np.exp(-d / reach) for _, k, d in tree.find_n(p, 4))
    return out


def run_off(points: np.ndarray, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strength 0..1 of drip lines below the source points."""
    out = np.zeros(len(points))
    for s in sources:
        width, length = rng.uniform(0.015, 0.07), rng.uniform(0.15, 0.9)
        below = s[2] - points[:, 2]
        across = ((points[:, :2] - s[:2]) ** 2).sum(1)
        strength = np.exp(-across / width**2) * np.exp(-np.maximum(below, 0) / length) * (below > -0.01)
        out = np.maximum(out, strength)
    return out


def patches(points: np.ndarray, centres: np.ndarray, radii) -> np.ndarray:
    """1 at the centres, 0 at their radius, negative beyond, -1 at least; centres reach further sideways than up."""
    out = np.full(len(points), -1.0)
    for c, r in zip(centres, radii, strict=True):
        out = np.maximum(out, 1 - np.linalg.norm((points - c) / r, axis=1))
    return out


def grow(model: Model, kinds: tuple[str, ...], lookalikes: tuple[str, ...], extent: float):
    """Vertex attributes and camera targets.

    `extent` in 0..1 moves the corroded share within the habit of each class. Returns `damage` (n, 4) with one field per
    class, positive where that class is expected; `look` (n, 4) with run-off, primer, dirt and closeness; the sites.
    """
    rng = model.rng
    points, normals, _, _ = model.arrays()
    kind_of = vertex_material(model)
    steel = np.isin(kind_of, [i for i, name in enumerate(model.materials) if name in CORRODIBLE])
    hero = np.isin(kind_of, [i for i, name in enumerate(model.materials) if name == "paint"])
    near = closeness(model, points) if model.features else np.zeros(len(points))
    # Ledges collect water: faces that look up corrode a little sooner.
    prone = near + 0.2 * np.maximum(normals[:, 2], 0) * steel
    damage = np.full((len(points), 4), -9.0)
    sites: list[Site] = []
    for kind in kinds:
        (r0, r1), (s0, s1), pull = HABIT[kind]
        count = int(rng.integers(2, 8))
        chance = hero * (0.05 + prone**2) * np.exp(-np.abs(points[:, 0]) / 1.5) * (points[:, 1] < 0.6)
        chosen = rng.choice(len(points), count, p=chance / chance.sum())
        size = r0 + (r1 - r0) * (rng.random(count) ** 1.5) * (0.3 + 0.7 * extent)
        stretch = np.stack([rng.uniform(1, 2.6, count), np.ones(count), rng.uniform(0.5, 1.1, count)], 1)
        near_site = patches(points, points[chosen], size[:, None] * stretch)
        field = 0.75 * np.maximum(near_site, -0.6) + pull * prone * (0.35 + 0.65 * (near_site > -0.5))
        noisy = (field + rng.normal(0, NOISE_SPREAD, len(points)))[hero]
        share = s0 + (s1 - s0) * extent**1.5 * rng.uniform(0.6, 1)
        damage[steel, CLASSES.index(kind)] = (field - np.quantile(noisy, 1 - share))[steel]
        # Close-ups look at the strongest places.
        worst = damage[:, CLASSES.index(kind)][chosen]
        sites += [Site(points[i], normals[i]) for i in chosen[np.argsort(-worst)]]

    look = np.zeros((len(points), 4))
    look[:, 3] = near
    rusty = np.flatnonzero((damage.max(1) > 0.05) & steel)
    if "stain" in lookalikes:
        # Run-off also comes from rust that is out of the picture, above.
        sources = points[rng.choice(rusty, min(40, len(rusty)), replace=False)] if len(rusty) else np.empty((0, 3))
        loose = points[rng.choice(len(points), 14)]
        look[:, 0] = run_off(points, np.concatenate([sources, loose]), rng)
    if "primer" in lookalikes:
        spots = points[rng.choice(np.flatnonzero(hero), 8)]
        look[:, 1] = patches(points, spots, rng.uniform(0.1, 0.5, 8))
    else:
        look[:, 1] = -1
    dirt = 0.35 * np.maximum(normals[:, 2], 0) + 0.2 * near - 0.6
    if {"mud", "oil", "wet"} & set(lookalikes):
        spots = points[rng.choice(len(points), 9)]
        dirt = np.maximum(dirt + 0.2, patches(points, spots, rng.uniform(0.15, 0.6, 9)))
    look[:, 2] = dirt
    return {"damage": damage, "look": look}, sites

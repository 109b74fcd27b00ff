"""What stands around an asset: ground, walls, far steelwork, leaves, and the small things found on board."""

import numpy as np
from mesh import Model, frame


def slack(a, b, sag: float, n: int = 40) -> np.ndarray:
    """A hanging line (n, 3) between two points."""
    t = np.linspace(0, 1, n)[:, None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t - np.array([0, 0, sag]) * 4 * t * (1 - t)


def ground(m: Model, place: str, level: float, mostly_soil: bool) -> None:
    """Rough ground or a floor under everything: what fits the place, or soil in three of four scenes at least."""
    rng = m.rng
    if mostly_soil and rng.random() < 0.75:
        place = "foliage"
    material = {
        "foliage": "soil",
        "gravel": "gravel",
        "sea": "deck",
        "yard": rng.choice(["concrete", "soil", "wood"]),
        "dark": rng.choice(["concrete", "soil", "gravel"]),
    }
    x, y = np.meshgrid(np.linspace(-9, 9, 90), np.linspace(-7, 11, 90), indexing="ij")
    z = level + 0.06 * rng.normal(size=x.shape) * (place in ("foliage", "gravel"))
    m.sheet(np.stack([x, y, z], 2), str(material.get(place, "concrete")), np.array([0, 0, level - 5.0]))


def clutter(m: Model, place: str) -> None:
    """Blurred company behind the asset: a wall, columns, other steel, leaves."""
    rng = m.rng
    if place == "dark" or rng.random() < 0.35:
        m.box(
            (0, rng.uniform(2.8, 4.5), 1),
            (12, 0.1, 6),
            str(rng.choice(["concrete", "paint2", "concrete", "wood"])),
            edges=0,
            step=0.3,
        )
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(-5, 5), rng.uniform(2.6, 7)
        if rng.random() < 0.5:
            m.box((x, y, 1), (0.3, 0.3, 6), str(rng.choice(["concrete", "paint2", "wood"])), edges=0, step=0.3)
        else:
            m.box(
                (0, y, rng.uniform(-0.8, 2.6)), (12, 0.25, 0.4), str(rng.choice(["paint", "paint2"])), edges=0, step=0.2
            )
    if place == "foliage":
        for _ in range(6):
            middle = np.array([rng.uniform(-6, 6), rng.uniform(2.5, 6), rng.uniform(-1.5, 1.5)])
            for p in middle + rng.normal(size=(120, 3)) * [0.7, 0.5, 0.7]:
                turn = frame(rng.normal(size=3)) * rng.uniform(0.04, 0.13)
                m.sheet(
                    p + np.stack([np.outer([-1, 0, 1], turn[:, 0]) + s * turn[:, 1] * 0.5 for s in (-1, 1)]), "leaf"
                )


def props(m: Model, lookalikes: tuple[str, ...]) -> None:
    """Small things on and before the asset; some of them are brown without being rust."""
    rng = m.rng
    hero = m.materials.index("paint")
    points, normals, quads, material = m.arrays()
    near = np.unique(quads[material == hero])
    near = near[(points[near, 1] < 0.4) & (np.abs(points[near, 0]) < 1.6) & (normals[near, 1] < -0.3)]
    spots = rng.choice(near, 10)
    at = iter(zip(points[spots], normals[spots], strict=True))
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            z = rng.uniform(-0.5, 0.9)
            m.tube(
                slack((-2.5, -0.28, z), (2.5, -0.22, z + rng.uniform(-0.3, 0.3)), rng.uniform(0.02, 0.3), 80),
                rng.uniform(0.008, 0.02),
                "rubber",
                10,
                False,
            )
    if rng.random() < 0.35:
        p, n = next(at)
        m.rod(p, p + n * 0.09, 0.012, "stainless", 10)
        m.rod(p + n * 0.09, p + n * 0.13, 0.055, "rubber", 28)
        m.rod(p + n * 0.1305, p + n * 0.132, 0.048, "glass", 28)
    if rng.random() < 0.25:
        p, n = next(at)
        turn = frame(np.cross(n, [0.1, 0, 1]), n)
        m.box(p + n * 0.01, (rng.uniform(0.2, 0.5), 0.025, 0.001), "tape", turn, edges=0)
    if rng.random() < 0.3:
        p, n = next(at)
        m.rod(p + [0, -0.35, -0.4], p + [0, -0.35, 0.5], 0.05, "cladding", 28)
    if "rope" in lookalikes:
        p, _ = next(at)
        for k in range(3):
            line = slack(p + [-0.6, -0.14, 0.25 - 0.05 * k], p + [0.7, -0.12, 0.3], rng.uniform(0.1, 0.5), 90)
            twist = np.linspace(0, 90, 90)[:, None] + k * 2.1
            m.tube(line + 0.011 * (np.cos(twist) * [0, 1, 0] + np.sin(twist) * [0, 0, 1]), 0.012, "rope", 8, False)
    if "wood" in lookalikes:
        for _ in range(int(rng.integers(1, 4))):
            p, _ = next(at)
            size = (rng.uniform(0.2, 0.9), rng.uniform(0.06, 0.2), rng.uniform(0.05, 0.15))
            m.box(
                p + [0, -0.22, -0.1], size, "wood", frame((1, rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3))), edges=0
            )
    if "sign" in lookalikes:
        for _ in range(2):
            p, n = next(at)
            turn = frame(np.cross(n, [0, 0.1, 1]), n)
            m.box(p + n * 0.02, (rng.uniform(0.08, 0.3), rng.uniform(0.06, 0.2), 0.003), "sign", turn, edges=0)

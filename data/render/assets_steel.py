"""Plate and section assets: girders on bearings, trusses, shell plating, decks. Metres, z up, front towards -y."""

import numpy as np
from mesh import UP, Model, frame


def girder(m: Model, centre, length, height, flange, material="paint", thick=0.014) -> None:
    """An I-beam along x with web welds; `centre` is the middle of the web."""
    x, y, z = centre
    m.box(centre, (length, thick, height), material, edges=0)
    for sign in (-1, 1):
        m.box((x, y, z + sign * height / 2), (length, flange, 0.025), material, edges=1.0 if sign < 0 else 0.4)
        for side in (-1, 1):
            t = np.linspace(-length / 2, length / 2, 80)[:, None]
            seam = np.array([x, y + side * thick / 2, z + sign * (height / 2 - 0.016)]) + t * [1, 0, 0]
            m.weld(seam, 0.008, material)


def splice(m: Model, centre, width, height, side, bolts_x, bolts_z, material="paint") -> None:
    """A bolted plate on a web facing y = `side`."""
    centre = np.asarray(centre, float)
    m.box(centre, (width, 0.016, height), material, edges=0.9)
    rivet = m.rng.random() < 0.5
    for px in np.linspace(-0.42, 0.42, bolts_x) * width:
        for pz in np.linspace(-0.42, 0.42, bolts_z) * height:
            m.bolt(centre + [px, side * 0.008, pz], (0, side, 0), 0.016, material, rivet)


def bearing(m: Model, centre, top, material="paint") -> float:
    """Plates and a rocker between a girder and its pier; returns the height it stands on."""
    x, y = centre
    z = top
    for width, tall in ((0.42, 0.03), (0.3, m.rng.uniform(0.04, 0.16)), (0.4, 0.04), (0.6, 0.03)):
        m.box((x, y, z - tall / 2), (width, width * 0.8, tall), material, round=0.008, edges=1.3, step=0.025)
        z -= tall
    if m.rng.random() < 0.6:
        m.tube([(x, y - 0.17, z + 0.12), (x, y, z + 0.12), (x, y + 0.17, z + 0.12)], 0.055, material, rims=1.0)
    for sx in (-1, 1):
        foot = np.array([x + sx * 0.24, y - 0.15, z + 0.03])
        m.bolt(foot, UP, 0.025, material)
    return z


def bridge(m: Model) -> None:
    """Plate girders with stiffeners and splices on bearings, a concrete pier and deck above, cross frames between."""
    rng = m.rng
    height, flange = rng.uniform(0.8, 1.5), rng.uniform(0.28, 0.45)
    length = 4.4
    second = rng.uniform(1.5, 2.4)
    for k, y in enumerate((0.0, second)):
        girder(m, (0, y, 0), length, height, flange)
        gap = rng.uniform(0.7, 1.3)
        for x in np.arange(-length / 2 + 0.3, length / 2, gap):
            for side in (-1, 1):
                reach = flange / 2 - 0.03
                m.box((x, y + side * reach / 2, 0), (0.014, reach, height - 0.03), "paint", edges=0.7)
                seam = [
                    (x - 0.01, y + side * 0.012, -height / 2 + 0.02),
                    (x - 0.01, y + side * 0.012, height / 2 - 0.02),
                ]
                m.weld(seam, 0.008)
        if k == 0 and rng.random() < 0.8:
            splice(m, (rng.uniform(-1, 1), -0.016, 0), rng.uniform(0.35, 0.6), height * 0.75, -1, 4, int(height * 9))
        ends = [-1.5, 1.5] if rng.random() < 0.5 else [rng.uniform(-1.2, 1.2)]
        for x in ends:
            foot = bearing(m, (x, y), -height / 2 - 0.012)
    # Pier cap and seat under the bearings, back wall, soffit of the deck.
    m.box((0, second / 2, foot - 0.5), (length + 3, second + 2.2, 1.0), "concrete", round=0.03, edges=0, step=0.12)
    if rng.random() < 0.7:
        m.box((0, second + 1.4, 0.3), (length + 5, 0.3, 4.5), "concrete", edges=0, step=0.2)
    if rng.random() < 0.8:
        m.box((0, second / 2, height / 2 + 0.14), (length + 3, second + 2.6, 0.22), "concrete", edges=0, step=0.12)
    for x in rng.uniform(-1.8, 1.8, 2):
        corners = [(x, 0.1, -height / 2 + 0.1), (x, second - 0.1, height / 2 - 0.12)]
        for a, b in (corners, [(c[0], c[1], -c[2]) for c in corners]):
            a, b = np.array(a), np.array(b)
            turn = frame(b - a)
            m.box((a + b) / 2, (np.linalg.norm(b - a), 0.09, 0.01), "paint", turn, edges=0.7)
            m.box((a + b) / 2 + turn[:, 1] * 0.045, (np.linalg.norm(b - a), 0.01, 0.09), "paint", turn, edges=0.7)
        for y, z in ((0.1, -1), (second - 0.1, 1), (0.1, 1), (second - 0.1, -1)):
            m.box((x, y, z * (height / 2 - 0.16)), (0.012, 0.24, 0.26), "paint", edges=0.9)
            for k in range(3):
                m.bolt((x - 0.006, y + 0.06 * (k - 1), z * (height / 2 - 0.16)), (-1, 0, 0), 0.014)


def truss(m: Model) -> None:
    """Members meeting at bolted gusset plates, as in trusses, flare towers and crane pedestals."""
    rng = m.rng
    nodes = np.array([[-1.6, 0, -1], [0, 0, -1], [1.6, 0, -1], [-0.8, 0, 0.6], [0.8, 0, 0.6]]) * [
        1,
        1,
        rng.uniform(0.7, 1.2),
    ]
    links = [(0, 1), (1, 2), (3, 4), (0, 3), (3, 1), (1, 4), (4, 2)]
    depth, wide = rng.uniform(0.1, 0.2), rng.uniform(0.14, 0.26)
    hollow = rng.random() < 0.4
    for a, b in links:
        p, q = nodes[a], nodes[b]
        turn = frame(q - p, np.array([0.0, 1.0, 0.0]))
        span = np.linalg.norm(q - p) + 0.1
        if hollow:
            m.box((p + q) / 2, (span, wide * 0.7, depth), "paint", turn, round=0.012, edges=0.6)
        else:
            m.box((p + q) / 2, (span, wide, 0.012), "paint", turn, edges=0)
            for sign in (-1, 1):
                m.box((p + q) / 2 + turn[:, 1] * sign * wide / 2, (span, 0.014, depth), "paint", turn, edges=0.9)
    for p in nodes:
        for side in (-1, 1):
            y = side * (depth / 2 + 0.008)
            m.box(p + [0, y, 0], (0.55, 0.014, 0.45), "paint", edges=1.0)
            for px in np.linspace(-0.22, 0.22, 5):
                for pz in np.linspace(-0.16, 0.16, 4):
                    if side < 0:
                        m.bolt(p + [px, y - 0.007, pz], (0, -1, 0), 0.014, "paint", hollow)
    for z in (-1.0, 0.6):
        m.rod((-3, 1.6, z), (3, 1.6, z), 0.08, "paint2", rims=0)


def shell(m: Model) -> None:
    """Tank or hull plating: seams, stiffeners, brackets, a doubler and a hatch."""
    rng = m.rng
    wide, tall = 4.2, 2.8
    m.box((0, 0, 0), (wide, 0.012, tall), "paint", edges=0)
    for z in (-tall / 2 + rng.uniform(0.5, 1.0), tall / 2 - rng.uniform(0.4, 0.8)):
        m.weld([(-wide / 2, -0.007, z), (wide / 2, -0.007, z)], 0.009)
    x = rng.uniform(-1.2, 1.2)
    m.weld([(x, -0.007, -tall / 2), (x, -0.007, tall / 2)], 0.009)
    if rng.random() < 0.7:
        upright = rng.random() < 0.6
        for s in np.arange(-1.8, 1.81, rng.uniform(0.55, 0.9)):
            if upright:
                m.box((s, -0.09, 0), (0.012, 0.17, tall), "paint", edges=0.9)
                m.box((s, -0.18, 0), (0.09, 0.014, tall), "paint", edges=0.9)
                m.weld([(s - 0.01, -0.01, -tall / 2), (s - 0.01, -0.01, tall / 2)], 0.008)
            elif abs(s) < tall / 2:
                m.box((0, -0.08, s), (wide, 0.16, 0.012), "paint", edges=1.0)
                m.weld([(-wide / 2, -0.01, s + 0.01), (wide / 2, -0.01, s + 0.01)], 0.008)
    if rng.random() < 0.6:
        hx, hz = rng.uniform(-1, 1), rng.uniform(-0.6, 0.3)
        m.box((hx, -0.03, hz), (0.6, 0.03, 0.8), "paint2", round=0.012, edges=1.0)
        for px in np.linspace(-0.26, 0.26, 5):
            for pz in (-0.36, 0.36):
                m.bolt((hx + px, -0.045, hz + pz), (0, -1, 0), 0.014)
    if rng.random() < 0.5:
        px = rng.uniform(-1.6, 1.6)
        m.rod((px, -0.16, -tall / 2), (px, -0.16, tall / 2), 0.04, "paint2")
        for z in (-0.9, 0, 0.9):
            m.box((px, -0.09, z), (0.12, 0.16, 0.04), "paint", edges=1.0)
    m.box((0, -1.3, -tall / 2 - 0.01), (6, 2.8, 0.02), rng.choice(["deck", "paint2", "concrete"]), edges=0, step=0.1)
    m.feature(np.column_stack([np.linspace(-2.1, 2.1, 90), np.full(90, -0.01), np.full(90, -tall / 2)]), 1.4)


def deck(m: Model) -> None:
    """Deck plate with seams, coaming, grating, handrail, ladder and pipe penetrations before a bulkhead."""
    rng = m.rng
    m.box((0, 0, -0.01), (4.4, 3.4, 0.02), "paint", edges=0)
    for x in rng.uniform(-2, 2, 2):
        m.weld([(x, -1.7, 0.002), (x, 1.7, 0.002)], 0.009)
    m.weld([(-2.2, rng.uniform(-1, 1), 0.002), (2.2, rng.uniform(-1, 1), 0.002)], 0.009)
    m.box((0, 1.5, 1.1), (4.6, 0.012, 2.3), "paint2", edges=0.3)
    m.weld([(-2.2, 1.49, 0.005), (2.2, 1.49, 0.005)], 0.014)
    m.box((rng.uniform(-1, 1), 0.4, 0.08), (1.1, 0.8, 0.16), "paint", round=0.006, edges=1.2)
    for x in (-1.9, -0.7, 0.7, 1.9):
        m.rod((x, -1.5, 0), (x, -1.5, 1.05), 0.024, "rail")
        m.box((x, -1.5, 0.008), (0.14, 0.14, 0.016), "rail", edges=1.2)
        for sx in (-0.05, 0.05):
            m.bolt((x + sx, -1.45, 0.016), UP, 0.01, "rail")
    for z in (0.5, 1.05):
        m.rod((-2.1, -1.5, z), (2.1, -1.5, z), 0.022, "rail")
    gx = rng.uniform(-1.4, 1.2)
    for t in np.linspace(-0.45, 0.45, 24):
        m.box((gx + t, -0.5, 0.06), (0.006, 0.9, 0.04), "galvanised", edges=0.4)
    for t in np.linspace(-0.42, 0.42, 9):
        m.box((gx, -0.5 + t, 0.075), (0.9, 0.006, 0.008), "galvanised", edges=0.3)
    lx = rng.uniform(-1.6, 1.6)
    for sx in (-0.2, 0.2):
        m.box((lx + sx, 1.38, 1.1), (0.012, 0.06, 2.2), "rail", edges=0.9)
    for z in np.arange(0.25, 2.2, 0.28):
        m.rod((lx - 0.2, 1.38, z), (lx + 0.2, 1.38, z), 0.012, "rail", 10, rims=0.9)
    for x in rng.uniform(-2, 2, 3):
        y, r = rng.uniform(-0.8, 1.1), rng.uniform(0.04, 0.11)
        m.rod((x, y, 0), (x, y, rng.uniform(0.3, 2)), r, "paint2", rims=0.8)
        ring = np.linspace(0, 2 * np.pi, 30)
        m.weld(np.stack([x + r * np.cos(ring), y + r * np.sin(ring), 0 * ring + 0.004], 1), 0.014)

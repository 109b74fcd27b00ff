"""Process assets: pipe runs, pressure vessels, heat exchangers. Metres, z up, front towards -y."""

import numpy as np
from mesh import UP, Model, frame


def ring(centre, axis, radius: float, n: int = 40) -> np.ndarray:
    """Points (n, 3) on a closed circle."""
    turn, t = frame(axis), np.linspace(0, 2 * np.pi, n)[:, None]
    return np.asarray(centre) + radius * (np.cos(t) * turn[:, 1] + np.sin(t) * turn[:, 2])


def flange(m: Model, centre, axis, radius: float, material="paint", bolt_material=None) -> None:
    """A bolted flange pair with its gap."""
    centre, axis = np.asarray(centre, float), np.asarray(axis, float) / np.linalg.norm(axis)
    outer, thick = radius * 1.35 + 0.04, 0.03 + 0.06 * radius
    for s in (-1, 1):
        m.tube(
            centre + axis * s * np.array([[0.004], [0.006], [thick - 0.002], [thick]]),
            [outer - 0.003, outer, outer, outer - 0.003],
            material,
            40,
            rims=1.0,
        )
        m.tube(
            centre + axis * s * np.array([[thick], [thick + 0.5 * radius]]),
            [radius * 1.12, radius],
            material,
            32,
            False,
        )
    m.tube(centre + axis * np.array([[-0.005], [0.005]]), outer - 0.02, "rubber", 24)
    n = int(np.clip(4 * round(outer * 9), 6, 28))
    for p in ring(centre, axis, (outer + radius) / 2 + 0.006, n + 1)[:-1]:
        for s in (-1, 1):
            m.bolt(p + axis * s * thick, axis * s, min(0.022, 0.1 * radius + 0.008), bolt_material or material)


def support(m: Model, place, radius: float, floor: float) -> None:
    """A pedestal with base plate and a U-bolt holding a pipe along x."""
    x, y, z = place
    tall = z - radius - floor
    m.box((x, y, floor + tall / 2), (0.01, 2 * radius, tall), "paint2", edges=0.8)
    for s in (-1, 1):
        m.box((x + s * 0.06, y, floor + tall / 2), (0.012, 2 * radius, tall), "paint2", edges=0.8)
    m.box((x, y, floor + 0.01), (0.3, 2 * radius + 0.16, 0.02), "paint2", edges=1.0)
    m.box((x, y, z - radius - 0.008), (0.22, 2 * radius + 0.1, 0.016), "paint2", edges=1.2)
    t = np.linspace(0, np.pi, 16)[:, None]
    m.tube(np.array([x, y, z]) + (radius + 0.008) * (np.cos(t) * [0, 1, 0] + np.sin(t) * UP), 0.008, "galvanised", 10)
    m.feature(np.array([x, y, z]) + radius * (np.cos(t) * [0, 1, 0] - np.sin(t) * UP), 1.4)


def valve(m: Model, centre, radius: float) -> None:
    """A gate valve: body, bonnet with bolts, stem and handwheel."""
    x, y, z = centre
    t = np.linspace(-1, 1, 14)
    m.tube(np.array(centre) + t[:, None] * [1.7 * radius, 0, 0], radius * (1 + 0.55 * np.exp(-6 * t**2)), "paint2", 32)
    m.tube(
        np.array(centre) + np.linspace(0, 3, 12)[:, None] * radius * UP, radius * np.linspace(1, 0.55, 12), "paint2", 28
    )
    flange(m, (x, y, z + 1.9 * radius), UP, radius * 0.7, "paint2")
    m.rod((x, y, z + 3 * radius), (x, y, z + 5 * radius), 0.02, "stainless", 12)
    m.tube(ring((x, y, z + 4.4 * radius), UP, 1.4 * radius + 0.05), 0.014, "accent", 12, False)
    for a in (0, 2.1, 4.2):
        spoke = (1.4 * radius + 0.05) * np.array([np.cos(a), np.sin(a), 0])
        m.rod((x, y, z + 4.4 * radius), np.array([x, y, z + 4.4 * radius]) + spoke, 0.01, "accent", 8)


def pipes(m: Model) -> None:
    """Parallel pipes with flanges, an elbow, a valve, a branch, supports, perhaps an insulated line."""
    rng = m.rng
    floor, z = -0.9, 0.0
    y = 0.0
    for k in range(int(rng.integers(2, 5))):
        radius = rng.uniform(0.05, 0.2)
        y += radius
        here = z + rng.uniform(-0.12, 0.2)
        material = "paint" if k != 1 else str(rng.choice(["paint2", "galvanised", "cladding", "stainless"]))
        bend, r = rng.uniform(0.6, 1.9), radius * 2.2
        t = np.linspace(0, np.pi / 2, 12)
        down = 1 if rng.random() < 0.3 else -1
        if k == 0 or rng.random() < 0.4:
            curve = np.column_stack([bend + r * np.sin(t), 0 * t + y, here + down * r * (1 - np.cos(t))])
            n = int((bend + 2.6) / m.step)
            line = np.column_stack([np.linspace(-2.6, bend, n), np.full(n, y), np.full(n, here)])
            fall = np.column_stack([np.full(20, bend + r), np.full(20, y), here + down * (r + np.linspace(0, 1.6, 20))])
            m.tube(np.concatenate([line[:-1], curve[:-1], fall]), radius, material, 36)
            m.weld(ring((bend, y, here), (1, 0, 0), radius), 0.01, material)
            flange(m, (bend + r, y, here + down * (r + 0.3)), UP, radius, material)
        else:
            m.rod((-2.6, y, here), (2.6, y, here), radius, material, 36)
        for x in rng.uniform(-1.7, bend - 0.3, 2 if k == 0 else 1):
            flange(m, (x, y, here), (1, 0, 0), radius, material)
        m.weld(ring((rng.uniform(-1.5, 0.3), y, here), (1, 0, 0), radius), 0.01, material)
        if k == 0:
            valve(m, (rng.uniform(-1.6, 0.2), y, here), radius)
        if rng.random() < 0.7:
            x, thin = rng.uniform(-1.2, 0.3), radius * rng.uniform(0.3, 0.6)
            m.rod((x, y, here), (x, y, here + radius + 0.5), thin, material)
            m.weld(ring((x, y, here + radius), UP, thin), 0.012, material)
            flange(m, (x, y, here + radius + 0.25), UP, thin, material)
        for x in (-1.3 + 0.2 * k, rng.uniform(0.1, 0.6)):
            support(m, (x, y, here), radius, floor)
        y += radius + rng.uniform(0.08, 0.25)
    m.box((0, 0.5, floor - 0.02), (7, 4.5, 0.04), rng.choice(["deck", "concrete"]), edges=0, step=0.12)


def vessel(m: Model, radius=None, z=0.0) -> None:
    """A horizontal pressure vessel: dished heads, weld seams, nozzles, manway, saddles, name plate."""
    rng = m.rng
    radius = radius or rng.uniform(0.5, 0.9)
    half = rng.uniform(1.4, 1.9)
    t = np.linspace(0, np.pi / 2, 12)
    n = int(2 * half / m.step)
    x = np.concatenate(
        [-half - 0.5 * radius * np.cos(t), np.linspace(-half, half, n)[1:-1], half + 0.5 * radius * np.sin(t)]
    )
    r = np.concatenate([radius * np.sin(t), np.full(n - 2, radius), radius * np.cos(t)]) + 1e-3
    m.tube(np.column_stack([x, 0 * x, 0 * x + z]), r, "paint", int(2 * np.pi * radius / m.step / 1.3))
    for s in (-half, half, rng.uniform(-0.5, 0.5)):
        m.weld(ring((s, 0, z), (1, 0, 0), radius, 90), 0.012)
    for k in range(3):
        a = rng.uniform(-0.3, 1.9)
        axis = np.array([0, -np.cos(a), np.sin(a)])
        place = np.array([rng.uniform(-half + 0.3, half - 0.3), 0, z]) + axis * radius
        size = rng.uniform(0.06, 0.13) if k else 0.24
        m.rod(place - axis * 0.06, place + axis * 0.2, size, "paint", 32)
        m.weld(ring(place + axis * 0.004, axis, size + 0.004), 0.014)
        m.tube(place[None] + ring((0, 0, 0), axis, size * 2.1), 0.01, "paint", 8, False)
        flange(m, place + axis * 0.24, axis, size)
        if k == 0:
            m.rod(place + axis * 0.3, place + axis * 0.34, size * 1.3, "paint", 36, rims=1.0)
    floor = z - radius - 0.55
    for s in (-0.65 * half, 0.65 * half):
        arc = np.linspace(-0.95, 0.95, 24)
        curve = np.stack([0 * arc + s, radius * np.sin(arc), z - radius * np.cos(arc)], 1)
        for w in (-0.12, 0.12):
            low = curve * [1, 1, 0] + [w, 0, floor]
            m.sheet(np.stack([curve * 1.0 + [w, 0, -0.004], (curve + low) / 2 + [w / 2, 0, 0], low], 0), "paint2")
        band = np.stack([curve * [1, 1.012, 1.012] + [w, 0, -0.004] for w in np.linspace(-0.16, 0.16, 6)], 0)
        m.sheet(band, "paint2", np.array([s, 0, z]))
        m.feature(curve, 1.4)
        m.box((s, 0, floor), (0.42, 1.7 * radius, 0.03), "paint2", edges=1.2)
    m.box((0.2, -radius - 0.012, z), (0.24, 0.012, 0.16), "stainless", edges=0)
    m.box((0, 0.5, floor - 0.04), (7, 4.5, 0.05), rng.choice(["deck", "concrete"]), edges=0, step=0.12)


def exchanger(m: Model) -> None:
    """Two stacked shell-and-tube exchangers with girth flanges and connecting nozzles."""
    rng = m.rng
    radius = rng.uniform(0.24, 0.36)
    floor = -radius - 0.5
    top = 2 * radius + rng.uniform(0.4, 0.6)
    for z in (0.0, top):
        m.rod((-2, 0, z), (2, 0, z), radius, "paint", 44)
        for x in (-1.35, rng.uniform(1.0, 1.4), -2.0):
            flange(m, (x, 0, z), (1, 0, 0), radius, "paint", "galvanised" if rng.random() < 0.3 else None)
        for x in rng.uniform(-0.9, 0.9, 2):
            m.weld(ring((x, 0, z), (1, 0, 0), radius), 0.01)
    for x in (-1.05, 0.7):
        m.rod((x, 0, radius - 0.05), (x, 0, top - radius + 0.05), 0.11, "paint", 32)
        for z in (radius, top - radius):
            m.weld(ring((x, 0, z), UP, 0.112), 0.014)
        flange(m, (x, 0, top / 2), UP, 0.11)
    m.rod((-0.2, -radius + 0.03, 0), (-0.2, -radius - 0.25, 0), 0.06, "paint", 24)
    flange(m, (-0.2, -radius - 0.2, 0), (0, -1, 0), 0.06)
    for x in (-0.6, 0.45):
        for z, base in ((0, floor), (top, top - radius - 0.2)):
            m.box(
                (x, 0, (z - radius + base) / 2 + 0.03),
                (0.02, 1.5 * radius, z - radius - base + 0.1),
                "paint2",
                edges=0.9,
            )
            m.box((x, 0, base), (0.22, 1.7 * radius, 0.025), "paint2", edges=1.2)
            for s in (-1, 1):
                m.bolt((x + 0.07, s * 0.7 * radius, base + 0.012), UP, 0.014, "paint2")
    m.box((0, 0.5, floor - 0.04), (7, 4.5, 0.05), rng.choice(["deck", "concrete"]), edges=0, step=0.12)

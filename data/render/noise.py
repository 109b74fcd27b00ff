"""Tileable random fields and sky panoramas, made with numpy and handed to Blender as images.

A lookup in a prepared image costs a fraction of a procedural noise node, and numpy can draw shapes (craters, flakes,
warped ridges) that noise nodes cannot. All fields are equalised, so a threshold is an area share.
"""

import cv2
import numpy as np

# Small enough for the atlases to stay in the processor's cache: lookups dominate the cost of a photo.
SIZE = 512


def equalise(x: np.ndarray) -> np.ndarray:
    """Replace values by their rank, scaled to [0, 1]."""
    rank = np.empty(x.size, np.float32)
    rank[np.argsort(x, axis=None, kind="stable")] = np.linspace(0, 1, x.size, dtype=np.float32)
    return rank.reshape(x.shape)


def fractal(rng: np.random.Generator, beta: float, stretch: float = 1.0, low: float = 1.0) -> np.ndarray:
    """Periodic noise with power spectrum f^-beta; `stretch` > 1 draws it out along the rows, `low` cuts long waves."""
    fy = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch
    fx = np.fft.rfftfreq(SIZE)[None, :] * SIZE
    f = np.hypot(fy, fx)
    gain = np.where(f >= low, np.maximum(f, 1.0) ** (-beta / 2), 0.0)
    phase = rng.normal(size=gain.shape) + 1j * rng.normal(size=gain.shape)
    return equalise(np.fft.irfft2(gain * phase, s=(SIZE, SIZE)))


def warp(x: np.ndarray, dx: np.ndarray, dy: np.ndarray, amount: float) -> np.ndarray:
    """Shift the pixels of a periodic field by two others (in [0, 1]) times `amount` pixels."""
    rows, cols = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    big = np.pad(x, SIZE // 4, mode="wrap").astype(np.float32)
    return cv2.remap(
        big, cols + (dx - 0.5) * amount + SIZE // 4, rows + (dy - 0.5) * amount + SIZE // 4, cv2.INTER_LINEAR
    )


def cells(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Periodic Voronoi cells: distance to the nearest of `count` points in pixels, and that point's index."""
    pad = SIZE // 8
    points = rng.integers(0, SIZE, (count, 2))
    canvas = np.ones((SIZE + 2 * pad, SIZE + 2 * pad), np.uint8)
    owner = np.zeros(canvas.shape, np.int32)
    for oy in (-SIZE, 0, SIZE):
        for ox in (-SIZE, 0, SIZE):
            p = points + [oy + pad, ox + pad]
            ok = ((p >= 0) & (p < SIZE + 2 * pad)).all(1)
            canvas[p[ok, 0], p[ok, 1]] = 0
            owner[p[ok, 0], p[ok, 1]] = np.flatnonzero(ok)
    distance, label = cv2.distanceTransformWithLabels(canvas, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros(label.max() + 1, np.int32)
    lookup[label[canvas == 0]] = owner[canvas == 0]
    inner = slice(pad, pad + SIZE)
    return distance[inner, inner], lookup[label[inner, inner]]


def rough_atlas(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 3): ragged clouds, warped ridges, small spots."""
    clouds = fractal(rng, 2.3)
    a, b = fractal(rng, 2.6), fractal(rng, 2.6)
    ridges = equalise(-np.abs(warp(fractal(rng, 1.8), a, b, 60) - 0.5))
    distance, owner = cells(rng, 2600)
    radius = rng.gamma(1.6, 2.5, 2600).astype(np.float32) + 1
    spots = equalise(radius[owner] * 0.25 - distance * (0.6 + 0.8 * fractal(rng, 1.6)) + fractal(rng, 1.2))
    return np.stack([clouds, ridges, spots], 2)


def relief_atlas(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 3): stacked flakes, craters (1 at the floor), vertical streaks."""
    a, b = fractal(rng, 2.2), fractal(rng, 2.2)
    flakes = np.zeros((SIZE, SIZE), np.float32)
    for count in (60, 260, 1100):
        distance, owner = cells(rng, count)
        flakes += (rng.random(count).astype(np.float32)[owner] - 0.04 * distance * (count / 300) ** 0.5) * count**-0.2
    flakes = 0.8 * equalise(warp(flakes, a, b, 30)) + 0.2 * fractal(rng, 1.2)
    distance, owner = cells(rng, 1500)
    radius = (rng.gamma(2.0, 2.0, 1500) + 1).astype(np.float32)
    craters = np.clip(1.25 - warp(distance, a, b, 7) / radius[owner], 0, 1)
    streaks = fractal(rng, 1.7, stretch=0.06)
    return np.stack([flakes, craters, streaks], 2)


def panorama(rng: np.random.Generator, kind: str) -> np.ndarray:
    """(SIZE, 2 * SIZE, 3) linear equirectangular surroundings, bottom row first: sky over `kind` of far ground."""
    rows = np.linspace(-90, 90, SIZE, dtype=np.float32)[:, None]
    clouds = warp(fractal(rng, 2.2), fractal(rng, 2.4), fractal(rng, 2.4), 40)
    # Clouds lie in a plane overhead; drawn by row and column they would meet in a star at the zenith.
    away = SIZE / 5 / np.tan(np.radians(np.clip(rows, 8, 89.9)))
    turn = np.linspace(0, 2 * np.pi, 2 * SIZE, dtype=np.float32)[None]
    x, y = (away * np.cos(turn)).astype(np.float32), (away * np.sin(turn)).astype(np.float32)
    overhead = cv2.remap(clouds, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    clouds = np.where(rows > 8, overhead, np.tile(clouds, (1, 2)))
    fine = np.tile(fractal(rng, 1.2), (1, 2))
    if kind == "overcast" or rng.random() < 0.45:
        top, haze, cover = np.array([0.75, 0.82, 0.9]), np.array([1.1, 1.1, 1.08]), 0.25
    else:
        top, haze, cover = np.array([0.16, 0.34, 0.8]), np.array([0.75, 0.85, 0.95]), 0.75
    height = np.clip(rows / 70, 0, 1)[..., None] ** 0.6
    sky = haze * (1 - height) + top * height
    white = np.clip((clouds - cover) * 3, 0, 1)[..., None] * (0.5 + 0.5 * cover)
    sky = sky * (1 - white) + white * (0.7 + 0.7 * clouds[..., None])
    grounds = {
        "foliage": ([0.05, 0.09, 0.025], [0.16, 0.2, 0.07]),
        "gravel": ([0.14, 0.12, 0.1], [0.4, 0.37, 0.33]),
        "sea": ([0.02, 0.05, 0.07], [0.16, 0.24, 0.28]),
        "yard": ([0.1, 0.09, 0.08], [0.35, 0.3, 0.25]),
        "overcast": ([0.1, 0.1, 0.09], [0.3, 0.29, 0.27]),
    }
    dark, light = map(np.array, grounds.get(kind, grounds["yard"]))
    mottle = (0.6 * fine + 0.4 * clouds)[..., None] ** 1.5
    ground = dark * (1 - mottle) + light * mottle
    skyline = np.full((1, 2 * SIZE), -1.0, np.float32)
    if kind in ("foliage", "yard", "gravel"):
        # A tree line or roofs: elevation in degrees of the horizon, per column.
        profile = np.tile(fractal(rng, 2.2 if kind != "yard" else 1.6)[:1], (1, 2))
        skyline = 2 + profile * rng.uniform(8, 30)
    leaves = np.array([0.02, 0.045, 0.012]) + np.array([0.16, 0.21, 0.06]) * (fine[..., None] ** 2)
    out = np.where((rows < skyline + 10 * (fine - 0.5))[..., None], leaves if kind != "yard" else ground * 0.8, sky)
    return np.where((rows < -1.5)[..., None], ground, out).astype(np.float32)

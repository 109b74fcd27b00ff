"""Meshes as grids of points: every asset is made of rounded boxes, swept tubes and open sheets, with UVs in metres."""

import bpy
import numpy as np

UP = np.array([0.0, 0.0, 1.0])
STRAIGHT = np.eye(3)


def frame(forward, up=UP) -> np.ndarray:
    """3x3 rotation whose columns are x (along `forward`), y and z (near `up`)."""
    x = np.asarray(forward, float) / np.linalg.norm(forward)
    if abs(x @ up) > 0.99:
        up = np.array([0.0, 1.0, 0.0])
    y = np.cross(up, x)
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], 1)


class Model:
    """Everything in one scene: sheets with materials, and the points where corrosion likes to start."""

    def __init__(self, rng: np.random.Generator, step: float = 0.04):
        self.rng, self.step = rng, step
        self.points, self.normals, self.uvs, self.quads, self.faces_material = [], [], [], [], []
        self.materials: list[str] = []
        self.features: list[np.ndarray] = []  # rows x, y, z, weight
        self.count = 0

    def sheet(self, grid: np.ndarray, material: str, outward_from=None, uv: np.ndarray | None = None) -> None:
        """A grid (n, m, 3) of points; normals point away from `outward_from` (point or grid) when given.

        `uv` (n, m, 2) in metres; without it, lengths along the rows and columns.
        """
        n, m, _ = grid.shape
        normal = np.cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1))
        flip = outward_from is not None and np.sum(normal * (grid - outward_from)) < 0
        normal = normal * (-1 if flip else 1)
        normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-12
        lengths = [np.linalg.norm(np.diff(grid, axis=a), axis=2) for a in (0, 1)]
        v = np.pad(np.cumsum(lengths[0].mean(1)), (1, 0))
        u = np.pad(np.cumsum(lengths[1].max(0)), (1, 0))
        uv = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), 2) if uv is None else uv
        uv = uv + self.rng.uniform(0, 9, 2)
        index = self.count + np.arange(n * m).reshape(n, m)
        quad = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], 2).reshape(-1, 4)
        self.points.append(grid.reshape(-1, 3))
        self.normals.append(normal.reshape(-1, 3))
        self.uvs.append(uv.reshape(-1, 2))
        self.quads.append(quad[:, ::-1] if flip else quad)
        if material not in self.materials:
            self.materials.append(material)
        self.faces_material.append(np.full(len(quad), self.materials.index(material)))
        self.count += n * m

    def feature(self, points, weight: float = 1.0) -> None:
        """Mark points (k, 3) as places where corrosion starts."""
        points = np.atleast_2d(points)
        self.features.append(np.column_stack([points, np.full(len(points), weight)]))

    def box(self, centre, size, material="paint", rotation=STRAIGHT, round=0.004, edges=0.6, step=None) -> None:
        """A box with rounded edges; `edges` weighs them as starting places of corrosion (0 for none)."""
        half, step = np.asarray(size, float) / 2, step or self.step
        round = min(round, half.min() * 0.9)
        lines = []
        for h in half:
            inner = np.linspace(-(h - round), h - round, max(2, int(np.ceil(2 * h / step)) + 1))
            lines.append(np.concatenate([[-h, -h + 0.3 * round], inner, [h - 0.3 * round, h]]))
        for axis in range(3):
            a, b = (axis + 1) % 3, (axis + 2) % 3
            for sign in (-1, 1):
                grid = np.empty((len(lines[a]), len(lines[b]), 3))
                grid[..., a], grid[..., b], grid[..., axis] = lines[a][:, None], lines[b][None, :], sign * half[axis]
                core = np.clip(grid, -(half - round), half - round)
                off = grid - core
                grid = core + off * (round / (np.linalg.norm(off, axis=2, keepdims=True) + 1e-12))
                self.sheet(grid @ rotation.T + centre, material, np.asarray(centre, float))
        if edges:
            for axis in range(3):
                a, b = (axis + 1) % 3, (axis + 2) % 3
                t = np.arange(-half[axis], half[axis] + 1e-6, max(0.03, step))
                for sa in (-1, 1):
                    for sb in (-1, 1):
                        p = np.zeros((len(t), 3))
                        p[:, axis], p[:, a], p[:, b] = t, sa * half[a], sb * half[b]
                        self.feature(p @ rotation.T + centre, edges)

    def tube(self, path, radius, material="paint", sides: int = 24, caps: bool = True, rims: float = 0.0) -> None:
        """A tube swept along `path` (k, 3); `radius` is a number or one for each point."""
        path = np.asarray(path, float)
        radius = np.broadcast_to(np.asarray(radius, float), len(path))
        tangent = np.gradient(path, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        side = frame(tangent[0])[:, 1]
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        grid = np.empty((len(path), sides + 1, 3))
        for i, t in enumerate(tangent):
            side = side - t * (side @ t)
            side /= np.linalg.norm(side)
            ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * np.cross(t, side)
            grid[i] = path[i] + radius[i] * ring
        self.sheet(grid, material, path[:, None, :])
        for end, outer in ((0, -tangent[0]), (-1, tangent[-1])):
            if caps:
                rings = max(2, int(radius[end] / self.step) + 2)
                t = np.linspace(1, 0.001, rings)[:, None, None]
                disc = (grid[end] - path[end]) * t
                self.sheet(path[end] + disc, material, path[end] - outer, disc @ frame(outer)[:, 1:])
            if rims:
                self.feature(grid[end], rims)

    def rod(self, start, end, radius, material="paint", sides: int = 24, rims: float = 0.0, caps: bool = True) -> None:
        """A straight tube, subdivided along its length."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        n = max(2, int(np.linalg.norm(end - start) / self.step) + 1)
        self.tube(start + (end - start) * np.linspace(0, 1, n)[:, None], radius, material, sides, caps, rims)

    def bolt(self, place, axis, size: float, material="paint", rivet: bool = False) -> None:
        """A hexagon head with washer and thread end, or a domed rivet, standing on `place` along `axis`."""
        place, axis = np.asarray(place, float), np.asarray(axis, float)
        if rivet:
            t = np.linspace(0, np.pi / 2, 5)
            self.tube(
                place + axis * (size * 0.7 * np.sin(t))[:, None],
                np.maximum(size * np.cos(t), 1e-4),
                material,
                12,
                False,
            )
        else:
            self.tube(place + axis * np.array([[0], [0.2 * size]]), size * 1.25, material, 16)
            self.tube(place + axis * np.array([[0.2], [0.9]]) * size, size, material, 6)
            self.tube(place + axis * np.array([[0.9], [1.5]]) * size, size * 0.5, material, 10)
        self.feature(place + axis * 0.3 * size, 1.0)

    def weld(self, path, width: float = 0.012, material="paint") -> None:
        """A weld bead along a polyline."""
        path = np.asarray(path, float)
        length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        t = np.linspace(0, len(path) - 1, max(4, int(length / 0.015)))
        fine = np.stack([np.interp(t, np.arange(len(path)), path[:, k]) for k in range(3)], 1)
        self.tube(fine, width * self.rng.uniform(0.5, 0.75, len(fine)), material, 8, False)
        self.feature(fine[::2], 0.9)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Points (n, 3), unit normals (n, 3), quads (f, 4), material index of each quad (f,)."""
        return tuple(np.concatenate(x) for x in (self.points, self.normals, self.quads, self.faces_material))

    def build(self, materials: dict, attributes: dict[str, np.ndarray]):
        """The Blender object, with `attributes` (n, 4) on its vertices."""
        points, _, quads, material = self.arrays()
        mesh = bpy.data.meshes.new("scene")
        mesh.vertices.add(len(points))
        mesh.vertices.foreach_set("co", points.astype(np.float32).ravel())
        mesh.loops.add(quads.size)
        mesh.loops.foreach_set("vertex_index", quads.astype(np.int32).ravel())
        mesh.polygons.add(len(quads))
        mesh.polygons.foreach_set("loop_start", np.arange(0, quads.size, 4, dtype=np.int32))
        for name in self.materials:
            mesh.materials.append(materials[name])
        mesh.polygons.foreach_set("material_index", material.astype(np.int32))
        mesh.polygons.foreach_set("use_smooth", np.ones(len(quads), bool))
        uv = mesh.uv_layers.new(name="metres")
        uv.data.foreach_set("uv", np.concatenate(self.uvs)[quads.ravel()].astype(np.float32).ravel())
        for name, values in attributes.items():
            layer = mesh.attributes.new(name, "FLOAT_COLOR", "POINT")
            layer.data.foreach_set("color", values.astype(np.float32).ravel())
        mesh.update(calc_edges=True)
        # Hexagons and other sharp corners inside a sheet stay sharp; round things have small angles.
        mesh.set_sharp_from_angle(angle=0.7)
        thing = bpy.data.objects.new("scene", mesh)
        bpy.context.scene.collection.objects.link(thing)
        return thing

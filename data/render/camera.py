"""Where photos are taken from, the light, and what a pocket camera makes of the scene."""

import io

import bpy
import cv2
import numpy as np
from mathutils import Matrix, Vector
from mesh import frame
from PIL import Image, ImageDraw, ImageFont

REACH = {"close": (0.3, 0.75), "near": (0.75, 1.7), "far": (1.8, 4.2)}


def free_distance(scene, depsgraph, start, direction, limit: float) -> float:
    """Distance to the first surface along a ray."""
    hit, place, *_ = scene.ray_cast(depsgraph, Vector(start), Vector(direction), distance=limit)
    return float((place - Vector(start)).length) if hit else limit


def aim(
    rng: np.random.Generator, target, normal, reach: str, floor: float
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Camera place, rotation (3x3, looking along -z) and field of view with a free line of sight, or None."""
    scene, depsgraph = bpy.context.scene, bpy.context.evaluated_depsgraph_get()
    for _ in range(60):
        side = normal + rng.normal(size=3) * [0.7, 0.45, 0.5] + [0, -0.45, 0]
        side /= np.linalg.norm(side)
        if side[1] > 0.35 or side @ normal < 0.12:
            continue
        want = rng.uniform(*REACH[reach])
        free = free_distance(scene, depsgraph, target + normal * 0.02, side, want + 0.2)
        place = target + side * min(want, free - 0.15)
        if free < 0.6 * want or place[2] < floor + 0.15:
            continue
        ways = np.array([[0, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, -0.8, 0.6]])
        if all(free_distance(scene, depsgraph, place, way, 5.0) < 4.9 for way in ways):
            continue  # inside a closed body
        off = rng.normal(size=3) * 0.14 * np.linalg.norm(place - target)
        look = target + off - place
        turn = frame(look, frame(look)[:, 2] + rng.normal() * 0.09 * frame(look)[:, 1])
        rotation = np.stack([-turn[:, 1], turn[:, 2], -turn[:, 0]], 1)
        angle = np.radians(rng.uniform(46, 74))
        rays = [
            rotation @ [u * np.tan(angle / 2), v * np.tan(angle / 2), -1]
            for u in (-0.8, -0.3, 0.3, 0.8)
            for v in (-0.6, 0, 0.6)
        ]
        depths = [free_distance(scene, depsgraph, place, r / np.linalg.norm(r), 30.0) for r in rays]
        # Not with the lens against something, and not at empty space.
        if min(depths) > 0.3 * want and np.mean(np.array(depths) < 3 * want) > 0.5:
            return place, rotation, angle
    return None


def put_camera(place, rotation, angle: float, upright: bool, size: int) -> None:
    """Move the scene's camera; `size` is the long side of the photo in pixels."""
    scene = bpy.context.scene
    if scene.camera is None:
        scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(scene.camera)
    matrix = Matrix.LocRotScale(Vector(place), Matrix(rotation.tolist()), None)
    scene.camera.matrix_world = matrix
    scene.camera.data.angle = angle
    scene.camera.data.clip_start = 0.02
    short = size * 3 // 4
    scene.render.resolution_x, scene.render.resolution_y = (short, size) if upright else (size, short)


def add_lamp(kind: str, power: float, place=(0, 0, 0), size: float = 0.01, colour=(1, 1, 1)):
    lamp = bpy.data.lights.new(kind, kind)
    lamp.energy, lamp.color = power, colour
    if kind == "SUN":
        lamp.angle = size
    elif kind == "POINT":
        lamp.shadow_soft_size = size
    thing = bpy.data.objects.new(kind, lamp)
    thing.location = place
    bpy.context.scene.collection.objects.link(thing)
    return thing


def light_scene(rng: np.random.Generator, light: str, world) -> None:
    """Lamps that stay for the whole job; `world` is the strength socket of the surroundings."""
    world.default_value = {
        "sun": 0.8,
        "overcast": 1.0,
        "flash": 0.003,
        "dim flash": 0.05,
        "backlit": 1.4,
        "work lamp": 0.02,
    }[light]
    if light in ("sun", "backlit"):
        lamp = add_lamp("SUN", rng.uniform(2.5, 5), size=0.01, colour=(1, 0.93, 0.84))
        turn = rng.uniform(-1.2, 1.2) if light == "sun" else np.pi + rng.uniform(-0.8, 0.8)
        lamp.rotation_euler = (rng.uniform(0.5, 1.15), 0, turn)
    if light == "work lamp":
        for _ in range(2):
            place = (rng.uniform(-2.5, 2.5), rng.uniform(-2.8, -1.2), rng.uniform(0.3, 2))
            add_lamp("POINT", rng.uniform(30, 90), place, 0.12, (1, rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.85)))
    flash = add_lamp("POINT", 0.0, size=0.012)
    flash.name = "flash"


def set_flash(rng: np.random.Generator, light: str, rotation: np.ndarray, place: np.ndarray) -> None:
    """The camera's own flash sits a few centimetres beside the lens."""
    flash = bpy.data.objects["flash"]
    flash.location = place + rotation @ [rng.choice([-1, 1]) * 0.03, 0.05, 0.0]
    flash.data.energy = 25.0 if light in ("flash", "dim flash") else 0.0


def random_camera(rng: np.random.Generator) -> dict:
    """A camera that one inspector carries through one job."""
    return {
        "quality": int(rng.integers(60, 96)),
        "sharpen": rng.uniform(0, 0.7),
        "noise": rng.gamma(2, 0.006),
        "cast": rng.normal(0, 0.07, 2),
        "contrast": rng.uniform(0.85, 1.4),
        "vignette": rng.uniform(0, 0.35),
        "saturation": rng.uniform(0.7, 1.2),
        "stamp": rng.random() < 0.5,
        "date": tuple(int(rng.integers(a, b)) for a, b in ((2012, 2021), (1, 13), (1, 29))),
        "order": int(rng.integers(0, 3)),
    }


def develop(rng: np.random.Generator, radiance: np.ndarray, camera: dict) -> bytes:
    """JPEG bytes from linear radiance (h, w, 3): metering, lens, sensor, tone, sharpening, date stamp."""
    h, w, _ = radiance.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    weight = np.exp(-(x**2 + y**2))
    grey = radiance.mean(2)
    # The inspector meters on the steel: sky counts little, black corners hardly.
    capped = np.minimum(grey, 4 * np.median(grey) + 1e-4)
    meter = np.exp((np.log(capped + 0.02 * capped.mean() + 1e-6) * weight).sum() / weight.sum())
    exposed = radiance * (0.19 / (0.75 * meter + 0.25 * capped.mean())) * 2 ** rng.normal(0.1, 0.5)
    exposed = exposed * (1 - camera["vignette"] * (x**2 + y**2) / 2)[..., None]
    # Half of what automatic white balance would do, on the warm side, as compact cameras have it.
    means = np.minimum(radiance, capped.max()).mean((0, 1))
    warm = np.array([1.05 + camera["cast"][0], 1, 0.94 + camera["cast"][1]])
    exposed = exposed * (means.mean() / means) ** 0.55 * warm
    # Veiling glare round bright places.
    exposed = exposed + 0.025 * cv2.GaussianBlur(np.minimum(exposed, 6), (0, 0), w / 25)
    blur = rng.random()
    if blur < 0.08:
        exposed = cv2.GaussianBlur(exposed, (0, 0), rng.uniform(0.6, 1.4))
    elif blur < 0.15:
        n = int(rng.integers(3, 10)) | 1
        kernel = np.zeros((n, n), np.float32)
        turn = rng.uniform(0, np.pi)
        for t in np.linspace(-n // 2 + 1, n // 2, 4 * n):
            kernel[int(round(n // 2 + t * np.sin(turn))) % n, int(round(n // 2 + t * np.cos(turn))) % n] += 1
        exposed = cv2.filter2D(exposed, -1, kernel / kernel.sum())
    gain = camera["noise"] * np.clip(0.35 / (meter * 4 + 0.05), 0.4, 2.2)
    noise = rng.normal(size=(h, w, 3)) + 0.7 * cv2.GaussianBlur(rng.normal(size=(h, w, 3)), (0, 0), 1.2) * 2
    exposed = np.maximum(exposed + noise * gain * np.sqrt(np.maximum(exposed, 0) + 0.01), 0)
    # A soft shoulder, then sRGB, contrast round the middle.
    knee = np.where(exposed > 0.7, 0.7 + 0.3 * (1 - np.exp(-(exposed - 0.7) / 0.45)), exposed)
    image = np.where(knee <= 0.0031308, 12.92 * knee, 1.055 * np.power(np.maximum(knee, 1e-6), 1 / 2.4) - 0.055)
    image = image + (camera["contrast"] - 1) * 0.5 * np.sin(2 * np.pi * (image - 0.5)) / np.pi
    luma = image.mean(2, keepdims=True)
    image = luma + (image - luma) * camera["saturation"]
    image = image + camera["sharpen"] * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    out = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    if camera["stamp"]:
        burn_date(out, camera)
    stream = io.BytesIO()
    out.save(stream, "JPEG", quality=camera["quality"])
    return stream.getvalue()


def burn_date(image: Image.Image, camera: dict) -> None:
    """The orange date that inspection cameras write in the lower right corner."""
    year, month, day = camera["date"]
    text = (
        f"{month:02d}.{day:02d}.{year}",
        f"{year}.{month:02d}.{day:02d}",
        f"{day:02d} {month:02d} '{year % 100:02d}",
    )[camera["order"]]
    font = ImageFont.load_default(17)
    place = (image.width - 112, image.height - 46)
    draw = ImageDraw.Draw(image)
    draw.text((place[0] + 1, place[1] + 1), text, fill=(60, 20, 0), font=font)
    draw.text(place, text, fill=(235, 110, 40), font=font)

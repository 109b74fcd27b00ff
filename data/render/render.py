"""Render the data set: `python data/render/render.py --out DIR --jobs N --seed S`.

Every job is a process of its own with its own random numbers, so a job comes out the same whatever ran before it.
Finished jobs are skipped; the tables are rewritten after each job and name the photos of finished jobs only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
SAMPLES = 6
PASSES = ("dmg", "aux", "look")


def set_up_cycles(scratch: Path):
    """Renderer settings, and a compositor that writes picture and AOVs as separate EXR files; returns the scene."""
    import bpy

    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.use_persistent_data = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    c = scene.cycles
    c.device, c.samples, c.use_adaptive_sampling, c.seed = "CPU", SAMPLES, False, 1
    c.use_denoising, c.denoiser, c.denoising_input_passes, c.denoising_prefilter = (
        True,
        "OPENIMAGEDENOISE",
        "RGB_ALBEDO_NORMAL",
        "NONE",
    )
    c.max_bounces, c.diffuse_bounces, c.glossy_bounces, c.transparent_max_bounces = 2, 1, 1, 6
    c.caustics_reflective = c.caustics_refractive = False
    c.sample_clamp_indirect = 4.0
    for name in PASSES:
        scene.view_layers[0].aovs.add().name = name
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    files = tree.nodes.new("CompositorNodeOutputFile")
    files.base_path = str(scratch)
    files.format.file_format, files.format.color_depth, files.format.exr_codec = "OPEN_EXR", "32", "ZIP"
    files.file_slots.clear()
    for slot, source in (("photo", "Image"), *((p, p) for p in PASSES)):
        files.file_slots.new(slot)
        tree.links.new(layers.outputs[source], files.inputs[slot])
    return scene


def render_job(job, seed: int, size: int, ground: float, out: Path) -> tuple[int, float]:
    """Build and photograph one job; returns the number of photos and the seconds taken.

    `ground` is the chance of a view to be aimed at the ground. Above 0 that is mostly soil, of any colour: of all
    grounds the one that looks most like rust.
    """
    os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    # Blender reports every step on the standard output; the parent process reports progress instead.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    started = time.monotonic()
    import assets_process
    import assets_steel
    import bpy
    import camera
    import coatings
    import cv2
    import damage
    import dressing
    import noise
    import numpy as np
    from export import photo_record, write_job
    from mesh import Model
    from nodes import Graph, load_image

    cv2.setNumThreads(1)
    scratch = new_scratch(out)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = set_up_cycles(scratch)
    rng = np.random.default_rng((seed, 2, job.index))

    model = Model(rng)
    build = getattr(assets_steel, job.asset, None) or getattr(assets_process, job.asset)
    build(model)
    _, front, floor = np.concatenate(model.points).min(0)
    dressing.props(model, job.lookalikes)
    dressing.ground(model, job.place, floor - 0.02, mostly_soil=ground > 0)
    dressing.clutter(model, job.place)
    attributes, sites = damage.grow(model, job.kinds, job.lookalikes, job.extent)

    style = coatings.random_style(rng, job.lookalikes)
    rough, relief = load_image("rough", noise.rough_atlas(rng)), load_image("relief", noise.relief_atlas(rng))
    shop = coatings.Workshop(rng, rough, relief, style)
    materials = coatings.make_materials(model.materials, rng, shop, job.paints, job.kinds, any_soil=ground > 0)
    model.build(materials, attributes)

    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    g = Graph(scene.world.node_tree)
    sky = g.node("ShaderNodeTexEnvironment", image=load_image("sky", noise.panorama(rng, job.place), bright=True))
    background = g.node("ShaderNodeBackground")
    g.tree.links.new(sky.outputs[0], background.inputs[0])
    g.tree.links.new(background.outputs[0], g.node("ShaderNodeOutputWorld").inputs[0])
    camera.light_scene(rng, job.light, background.inputs[1])
    gear = camera.random_camera(rng)

    points, normals, _, _ = model.arrays()
    kind_of = damage.vertex_material(model)
    hero = np.flatnonzero(
        (kind_of == model.materials.index("paint")) & (np.abs(points[:, 0]) < 1.7) & (points[:, 1] < 0.5)
    )
    records, files = [], {}
    for view in range(job.views):
        eye = np.random.default_rng((seed, 3, job.index, view))
        pose = None
        while pose is None:
            reach = str(eye.choice(list(camera.REACH), p=(0.38, 0.42, 0.2)))
            if ground and eye.random() < ground:
                target = np.array([eye.uniform(-1.7, 1.7), front - eye.uniform(0.2, 1.5), floor])
                normal = np.array([0.0, 0.0, 1.0])
            elif sites and eye.random() < 0.75:
                site = sites[int(eye.integers(len(sites)))]
                target, normal = site.centre, site.normal
            else:
                i = eye.choice(hero)
                target, normal = points[i], normals[i]
            pose = camera.aim(eye, target, normal, reach, floor)
        upright = eye.random() < 0.25
        camera.put_camera(*pose, upright, size)
        camera.set_flash(eye, job.light, pose[1], pose[0])
        bpy.ops.render.render()
        raw = {
            p: cv2.imread(str(scratch / f"{p}0001.exr"), cv2.IMREAD_UNCHANGED)[..., :3][..., ::-1]
            for p in ("photo", *PASSES)
        }
        name = f"{job.group}_IMG_{job.first_photo + view:04d}"
        record, masks = photo_record(name, job, reach, raw, style["depth"])
        files |= {f"masks/{finding}.png": data for finding, data in masks.items()}
        files[f"photos/{name}.JPG"] = camera.develop(eye, raw["photo"].astype(np.float32), gear)
        records.append(record)
    write_job(out, job, files, records, scratch)
    shutil.rmtree(scratch)
    return len(records), time.monotonic() - started


def blender_version() -> str:
    """The version of Blender; ImportError when that or another package of the recipe cannot be loaded."""
    # In a process of its own: bpy changes sys.path, which the jobs would inherit and then not find bpy.
    script = "import cv2, numpy, PIL, bpy; print(bpy.app.version_string)"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if child.returncode:
        said = child.stderr.strip().splitlines() or [f"loading Blender ended with exit code {child.returncode}"]
        raise ImportError(said[-1])
    return child.stdout.splitlines()[-1]


def new_scratch(out: Path) -> Path:
    """A folder for temporary files of this process alone."""
    return Path(tempfile.mkdtemp(dir=out / ".scratch"))


def prepare(out: Path, recipe: dict) -> None:
    """Make the folder of the data set, or make sure that what it holds comes from the same recipe."""
    from export import write

    held = out / "recipe.json"
    if held.is_file():
        before = json.loads(held.read_text())
        if before != recipe:
            raise ValueError(f"it holds a render with {before}, this one has {recipe}")
    elif out.is_dir() and any(not p.name.startswith(".") for p in out.iterdir()):
        raise ValueError("it holds other files; name a new or an empty folder")
    (out / ".scratch").mkdir(parents=True, exist_ok=True)
    scratch = new_scratch(out)
    # First the recipe: a run killed here is known again.
    write(held, json.dumps(recipe).encode(), scratch)
    scratch.rmdir()
    for folder in ("photos", "masks", "jobs"):
        (out / folder).mkdir(exist_ok=True)


def render_all(todo: list, recipe: dict, out: Path, processes: int) -> None:
    """Render jobs side by side, rewrite the tables after each, report progress."""
    from export import write_tables

    scratch = new_scratch(out)
    total, done, started = sum(job.views for job in todo), 0, time.monotonic()
    # Two single-threaded renders use two cores better than one render with two threads; a fresh process for each job.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        settings = recipe["seed"], recipe["size"], recipe["ground"]
        waiting = {pool.submit(render_job, job, *settings, out): job for job in todo}
        try:
            for future in as_completed(waiting):
                photos, seconds = future.result()
                done += photos
                write_tables(out, scratch)
                left = (time.monotonic() - started) / done * (total - done)
                job = waiting[future]
                print(f"{done}/{total} photos, {job.group} {job.asset} {job.light}: {seconds / photos:.1f} s a photo, "
                      f"{left / 60:.0f} min left", flush=True)  # fmt: skip
        except BaseException:
            # Without this, an error would show only after all other jobs.
            pool.shutdown(cancel_futures=True)
            raise


def whole_number(least: int, most: int):
    """An argparse type."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def chance(text: str) -> float:
    """An argparse type."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set: new, empty, or to be resumed")
    # There are ten thousand job numbers.
    parser.add_argument("--jobs", type=whole_number(1, 10_000), default=84,
                        help="number of inspection jobs, about 6 photos each (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=whole_number(0, 2**63), default=2020, help="default: %(default)s")
    parser.add_argument("--size", type=whole_number(64, 4096), default=512,
                        help="long side of a photo in pixels (default: %(default)s; less is a quick look)")  # fmt: skip
    parser.add_argument("--ground", type=chance, default=0.0,
                        help="chance of a view to be aimed at the ground beside the asset, 0 to 1; above 0 the ground "
                             "is mostly soil, for a set meant to teach what soil looks like "
                             "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--processes", type=whole_number(1, 1024), default=os.cpu_count(),
                        help="jobs rendered side by side (default: one a core)")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args = parse_arguments(parser)
    try:
        blender = blender_version()
    except ImportError as error:
        parser.error(f"{error}\nRendering needs Python 3.11, the packages of data/render/requirements.txt and some "
                     'system libraries: see "Make it again" in data/README.md.')  # fmt: skip
    try:
        recipe = {"seed": args.seed, "size": args.size, "ground": args.ground, "blender": blender}
        prepare(args.out, recipe)
    except (OSError, ValueError) as error:
        parser.error(f"--out {args.out}: {error}")

    from export import record_path, write_tables
    from plan import make_plan

    plan = make_plan(args.jobs, args.seed)
    todo = [job for job in plan if not record_path(args.out, job).exists()]
    print(f"{len(plan)} jobs, {len(plan) - len(todo)} already done, {sum(job.views for job in todo)} photos to render",
          flush=True)  # fmt: skip
    try:
        render_all(todo, recipe, args.out, args.processes)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with the first unfinished job", file=sys.stderr)
        return 130
    photos = write_tables(args.out, new_scratch(args.out))
    shutil.rmtree(args.out / ".scratch", ignore_errors=True)
    print(f"{photos} photos in {args.out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

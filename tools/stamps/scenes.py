"""Composes scenes: alpha cut-outs on a background, with the exact place of each object."""
import dataclasses
import math
import pathlib
import random

import numpy
from PIL import Image

from . import kinds
from .catalogue import Stamp

SIZE = 224  # pixels, width and height of a scene
MARGIN = 4
MOST_OVERLAP = 0.05  # of the smaller of two boxes
FEWEST_CONTRAST = 45  # between the mean brightness of a background and that of every object, of 255
# Number of objects -> smallest and largest side of a square of the object's area, in pixels.
SIDES = {1: (90, 160), 2: (66, 92), 3: (56, 80), 4: (50, 70), 5: (46, 62)}


@dataclasses.dataclass(frozen=True)
class Placed:
    stamp: Stamp
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 of the visible pixels; x1 and y1 are outside

    @property
    def centre_x(self) -> float:
        return (self.box[0] + self.box[2]) / 2


@dataclasses.dataclass(frozen=True)
class Scene:
    file: str
    objects: tuple[Placed, ...]


class CutOuts:
    """The stamps' pictures, RGBA, cut to their visible pixels and at most 256 pixels large; read once each."""

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._pictures: dict[str, Image.Image] = {}

    def get(self, stamp: Stamp) -> Image.Image:
        picture = self._pictures.get(stamp.path)
        if picture is None:
            with Image.open(self._root / stamp.path) as opened:
                picture = opened.convert("RGBA")
            # Faint shadows would count as part of the object's box.
            visible = picture.getchannel("A").point(lambda alpha: 255 if alpha > 40 else 0).getbbox()
            picture = picture.crop(visible)
            picture.thumbnail((256, 256), Image.Resampling.LANCZOS)
            self._pictures[stamp.path] = picture
        return picture


def compose(cut_outs: CutOuts, stamps: list[Stamp], rng: random.Random) -> tuple[Image.Image, tuple[Placed, ...]]:
    """A SIZE x SIZE RGB picture of the stamps (one to five) and where each is, from left to right."""
    scale, corners = 1.0, None
    while corners is None:
        pictures = [transformed(cut_outs.get(s), s, len(stamps), scale, rng) for s in stamps]
        corners = place([p.size for p in pictures], rng)
        scale *= 0.95  # where there is no room, smaller ones are tried
    scene = contrasting_background(pictures, rng)
    placed = []
    for stamp, picture, (x, y) in zip(stamps, pictures, corners):
        scene.paste(picture, (x, y), picture)
        placed.append(Placed(stamp, (x, y, x + picture.width, y + picture.height)))
    return scene, tuple(sorted(placed, key=lambda p: p.centre_x))


def transformed(picture: Image.Image, stamp: Stamp, count: int, scale: float, rng: random.Random) -> Image.Image:
    if stamp.kind not in kinds.UPRIGHT_KINDS and stamp.kind is not None and rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = rng.uniform(*SIDES[count])
    longest = min(1.6 * SIDES[count][1], SIZE - 8 * MARGIN if count == 1 else SIZE / 2 - 4 * MARGIN)
    scale *= min(side / math.sqrt(picture.width * picture.height), longest / max(picture.size))
    size = tuple(max(1, round(scale * length)) for length in picture.size)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    if stamp.kind not in kinds.UPRIGHT_KINDS:
        picture = picture.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC, expand=True)
    return picture.crop(picture.getchannel("A").point(lambda alpha: 255 if alpha > 40 else 0).getbbox())


def place(sizes: list[tuple[int, int]], rng: random.Random) -> list[tuple[int, int]] | None:
    """Upper left corners, or None when the pictures find no room. Two pictures stand on the left and on the right."""
    if any(max(size) > SIZE - 2 * MARGIN for size in sizes):
        return None
    for _ in range(60):
        corners = []
        for i, (width, height) in enumerate(sizes):
            first, last = MARGIN, SIZE - MARGIN - width
            if len(sizes) == 2:  # stay on one half of the picture
                first, last = (first, SIZE // 2 - width) if i == 0 else (SIZE // 2, last)
                if last < first:
                    return None
            corners.append((rng.randint(first, last), rng.randint(MARGIN, SIZE - MARGIN - height)))
        boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes)]
        if all(overlap(a, b) <= MOST_OVERLAP for i, a in enumerate(boxes) for b in boxes[:i]):
            return corners
    return None


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """The common area, as a share of the smaller box."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def contrasting_background(pictures: list[Image.Image], rng: random.Random) -> Image.Image:
    """The first of a dozen backgrounds against which every object stands out, or the best of them."""
    brightness = []
    for picture in pictures:
        pixels = numpy.asarray(picture)
        brightness.append(pixels[pixels[..., 3] > 40][:, :3].mean())
    best, best_contrast = None, -1.0
    for _ in range(12):
        background = random_background(rng)
        contrast = min(abs(float(background.mean()) - b) for b in brightness)
        if contrast > best_contrast:
            best, best_contrast = background, contrast
        if contrast >= FEWEST_CONTRAST:
            break
    return Image.fromarray(best)


def random_background(rng: random.Random) -> numpy.ndarray:
    """Plain, a gradient between two colours, or coloured clouds; uint8 [SIZE, SIZE, 3]."""
    noise = numpy.random.default_rng(rng.getrandbits(64))
    first, second = noise.uniform(0, 255, 3), noise.uniform(0, 255, 3)
    style = rng.choice(["plain", "gradient", "clouds"])
    if style == "plain":
        pixels = numpy.broadcast_to(first, (SIZE, SIZE, 3))
    elif style == "gradient":
        angle = noise.uniform(0, 2 * math.pi)
        y, x = numpy.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) - 0.5
        share = ((x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2) + 0.5)[..., None]
        pixels = first * share + second * (1 - share)
    else:
        coarse = numpy.clip(first + noise.normal(0, 25, (7, 7, 3)), 0, 255).astype(numpy.uint8)
        pixels = numpy.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        pixels = pixels + noise.normal(0, 8, (SIZE, SIZE, 1))
    return numpy.clip(pixels, 0, 255).astype(numpy.uint8)


def choose_kinds(count: int, rng: random.Random) -> list[str]:
    """Kinds for a scene of `count` objects: each equally likely; from three objects on one is often repeated."""
    chosen = rng.sample(list(kinds.KINDS), count)
    if count >= 3 and rng.random() < 0.7:
        repeats = rng.randint(1, count - 2)
        chosen[1:1 + repeats] = [chosen[0]] * repeats
    rng.shuffle(chosen)
    return chosen


def choose_stamps(by_kind: dict[str, list[Stamp]], count: int, rng: random.Random) -> list[Stamp]:
    """`count` different stamps where their kinds have enough of them, of balanced kinds."""
    stamps: list[Stamp] = []
    for kind in choose_kinds(count, rng):
        unused = [s for s in by_kind[kind] if s not in stamps]
        stamps.append(rng.choice(unused or by_kind[kind]))
    return stamps

"""Pictures for the benchmarks: scenes of stamps that no training picture shows, and words drawn as pictures."""
import json
import pathlib
import random
from collections.abc import Iterator

import numpy
from PIL import Image, ImageDraw, ImageFont

from .. import catalogue, kinds, scenes
from ..dataset import JPEG_QUALITY, TRAIN_OBJECTS, spread
from ..questions import Vocabulary
from ..scenes import SIZE, Placed, Scene

REQUEST = "\nAnswer the question using a single word or phrase."
LETTER_REQUEST = "\nAnswer with the option's letter from the given choices directly."
TRAINING_PICTURES = 2400  # of stage 2 at the demo's default size: which kinds and names are popular

WORDS = ("APPLE BREAD CHAIR DANCE EAGLE FLAME GRAPE HOUSE INDEX JUICE KNIFE LEMON MUSIC NIGHT OCEAN PIANO QUEEN RIVER "
         "STONE TIGER UNCLE VOICE WATER YOUTH ZEBRA BANK CORN DOOR EXIT FARM GOLD HOTEL IRON LAMP MILK NORTH OPEN PARK "
         "ROAD STOP TAXI WEST").split()


class Source:
    """Everything is a function of the seed and of what it is for. The seed must be that of the training pictures."""

    def __init__(self, root: pathlib.Path, seed: int):
        self.seed = seed
        stamps = catalogue.split_stamps(catalogue.read_stamps(root), root, seed)
        self._by_kind = {split: {kind: [s for s in stamps if s.kind == kind and s.split == split]
                                 for kind in kinds.KINDS} for split in ("train", "test")}
        self._cut_outs = scenes.CutOuts(root)
        rng = self.rng("stage2/stamps")
        shown = [Scene("", tuple(Placed(stamp, (0, 0, 0, 0)) for stamp in
                                 scenes.choose_stamps(self._by_kind["train"], objects, rng)))
                 for objects in spread(TRAIN_OBJECTS, TRAINING_PICTURES, rng)]
        self.vocabulary = Vocabulary([s for s in stamps if s.split == "train"], shown)

    def rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}/{purpose}")

    def scenes(self, purpose: str, numbers: tuple[int, ...]) -> Iterator[tuple[Image.Image, tuple[Placed, ...]]]:
        """Endlessly pictures with as many objects as `numbers` say in turn, and the objects from left to right."""
        count = 0
        while True:
            rng = self.rng(f"{purpose}/{count}")
            chosen = scenes.choose_stamps(self._by_kind["test"], numbers[count % len(numbers)], rng)
            yield scenes.compose(self._cut_outs, chosen, rng)
            count += 1

    def texts(self, lines: list[str], rng: random.Random) -> Image.Image:
        """The lines below one another, black or white, whichever stands out."""
        background = scenes.random_background(rng)
        picture = Image.fromarray(background)
        draw = ImageDraw.Draw(picture)
        colour = (0, 0, 0) if numpy.mean(background) > 127 else (255, 255, 255)
        for number, line in enumerate(lines):
            font = ImageFont.load_default(rng.randint(30, 40))
            left, top, right, bottom = draw.textbbox((0, 0), line, font=font)
            x = rng.randint(4, max(4, SIZE - 4 - round(right)))
            middle = SIZE * (2 * number + 1) / (2 * len(lines)) + rng.uniform(-10, 10)
            draw.text((x, round(middle - (top + bottom) / 2)), line, font=font, fill=colour)
        return picture


def save(picture: Image.Image, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **({"quality": JPEG_QUALITY} if path.suffix == ".jpg" else {}))


def write_lines(path: pathlib.Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def write_json(path: pathlib.Path, content: dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

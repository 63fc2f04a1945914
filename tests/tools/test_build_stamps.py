#!/usr/bin/env python3
"""Tests of tools/build_stamps_dataset.py on stamps that are drawn here. Exits 77 (skipped) without Pillow."""
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy  # noqa: F401
    from PIL import Image, ImageDraw
except ImportError:
    print("skipped: Pillow and NumPy are needed (tools/fetch.sh python)")
    sys.exit(77)

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS))
import build_stamps_dataset  # noqa: E402
from stamps import catalogue, kinds, names, questions, scenes  # noqa: E402
from stamps.dataset import Sizes, spread  # noqa: E402

SIZES = Sizes(stage1=15, stage2=60, stage3=6, text_only=4, test=30)
FOLDERS = {
    "animal": "animals/mammals", "bird": "animals/birds", "insect": "animals/insects", "food": "food/fruit",
    "plant": "plants/flowers", "building": "town/houses/cartoon", "vehicle": "vehicles/auto", "sign": "town/roadsigns",
    "clothing": "clothes", "tool": "household/tools", "instrument": "hobbies/music/string",
    "coin": "symbols/money/us/coins", "letter": "symbols/alphabets/english",
}
LETTERS = "abcdefghijkl"


def draw_stamps(root: pathlib.Path) -> None:
    """Twelve stamps of each kind and a few without kind; some names are shared by stamps with other captions."""
    rng = random.Random(1)
    for kind, folder in FOLDERS.items():
        for i, letter in enumerate(LETTERS):
            caption = f"A {kind}{letter}." if i < 8 else f"A {('red', 'blue')[i % 2]} {kind}{LETTERS[i // 2 * 2]}."
            draw(root / folder / f"{letter}_{kind}.png", caption, rng)
    draw(root / "animals/mammals/twin-1.png", "A twin.", rng)
    draw(root / "animals/mammals/twin-2.png", "A brother.", rng)
    draw(root / "animals/birds/other_file.png", "A birdA!", rng)
    draw(root / "space/rocket.png", "A rocket.", rng)


def draw(path: pathlib.Path, caption: str, rng: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGBA", (rng.randint(40, 90), rng.randint(40, 90)))
    colour = tuple(rng.randint(0, 255) for _ in range(3))
    ImageDraw.Draw(picture).ellipse((2, 2, picture.width - 3, picture.height - 3), fill=(*colour, 255))
    picture.save(path)
    path.with_suffix(".txt").write_text(caption + "\nde.utf8=Etwas.\n", encoding="utf-8")


def read_lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def turns_of(sample: dict) -> list[tuple[str, str]]:
    values = [turn["value"] for turn in sample["conversations"]]
    return list(zip(values[::2], values[1::2]))


def true_answer(question: str, objects: list[dict]) -> str | None:
    """Answers a question from where the objects are: written apart from the builder, and with its words alone."""
    present = [o["kind"] for o in objects]
    kind_of_phrase = {phrase: kind for kind, phrases in kinds.KINDS.items() for phrase in phrases}
    middle = {id(o): (o["box"][0] + o["box"][2]) / 2 for o in objects}
    by_place = sorted(objects, key=lambda o: middle[id(o)])
    if question == "What is it?":
        return objects[0]["noun"] if len(objects) == 1 else None
    if question == questions.ALL_OBJECTS:
        return ", ".join(o["kind"] for o in by_place)
    if question == "What kind of thing is it?":
        return present[0] if len(objects) == 1 else None
    if match := re.fullmatch(r"What kind of thing is on the (left|right)\?", question):
        return by_place[0 if match[1] == "left" else -1]["kind"] if len(objects) == 2 else None
    if match := re.fullmatch(r"How many (.*) are there\?", question):
        number = len(objects) if match[1] == "objects" else present.count(kind_of_phrase[match[1]])
        return ["none", "one", "two", "three", "four", "five"][number]
    if match := re.fullmatch(r"Is the (.*) on the left or on the right\?", question):
        found = [o for o in objects if o["kind"] == kind_of_phrase[match[1]]]
        return ("left" if middle[id(found[0])] < 112 else "right") if len(found) == 1 else None
    if match := re.fullmatch(r"Is there (.*)\?", question):
        if match[1] in kind_of_phrase:
            return "yes" if kind_of_phrase[match[1]] in present else "no"
        return "yes" if match[1].split(" ", 1)[1] in [o["noun"] for o in objects] else "no"
    return None


class BuiltDataset(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name) / "stamps"
        cls.out = pathlib.Path(cls.folder.name) / "out"
        draw_stamps(cls.root)
        cls.manifest = build_stamps_dataset.build(cls.root, cls.out, 3, SIZES)
        cls.scenes = {s["image"]: s for s in read_lines(cls.out / "scenes.jsonl")}
        cls.test = read_lines(cls.out / "test.jsonl")
        cls.stages = {n: json.loads((cls.out / f"stage{n}.json").read_text(encoding="utf-8")) for n in (1, 2, 3)}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_no_stamp_is_on_both_sides(self):
        shown = collections.defaultdict(set)
        for scene in self.scenes.values():
            side = "test" if scene["part"] == "test" else "train"
            shown[side].update(o["stamp"] for o in scene["objects"])
        self.assertTrue(shown["train"] and shown["test"])
        self.assertFalse(shown["train"] & shown["test"])
        for kind, sides in self.manifest["split"].items():
            self.assertGreaterEqual(len(sides["test"]), 2, kind)
            self.assertLess(len(sides["test"]), 0.4 * len(sides["train"]), kind)
            self.assertFalse(set(sides["test"]) & set(sides["train"]))

    def test_near_duplicates_stay_together(self):
        stamps = catalogue.read_stamps(self.root)
        for seed in range(20):
            split = {s.path: s.split for s in catalogue.split_stamps(stamps, self.root, seed)}
            self.assertEqual(split["animals/mammals/twin-1.png"], split["animals/mammals/twin-2.png"])
            self.assertEqual(split["animals/birds/other_file.png"], split["animals/birds/a_bird.png"])
            self.assertEqual(split["space/rocket.png"], "train")

    def asked(self) -> list[tuple[str, str, str]]:
        """Picture, question and answer of the test and of stages 2 and 3."""
        found = [(q["image"], q["text"], q["answer"]) for q in self.test]
        for n in (2, 3):
            found += [(s["image"], question.removeprefix("<image>\n"), answer)
                      for s in self.stages[n] if "image" in s for question, answer in turns_of(s)]
        return found

    def test_answers_are_true(self):
        for image, question, answer in self.asked():
            self.assertEqual(true_answer(question, self.scenes[image]["objects"]), answer, f"{image}: {question}")
        self.assertEqual({q["category"] for q in self.test},
                         {"object", "category", "count", "left_right", "presence"})

    def test_answers_are_balanced(self):
        counts = self.manifest["test"]["counts"]
        total = sum(sum(c.values()) for c in counts.values())
        self.assertEqual(total, len(self.test))
        self.assertEqual(counts["presence"]["yes"], counts["presence"]["no"])
        self.assertAlmostEqual(sum(counts["presence"].values()) / total, 0.35, delta=0.02)
        self.assertLessEqual(abs(counts["left_right"]["left"] - counts["left_right"]["right"]), 2)
        self.assertLessEqual(self.manifest["test"]["majority"]["category"]["share"], 0.17)
        self.assertLessEqual(self.manifest["test"]["majority"]["count"]["share"], 0.4)
        negatives = self.manifest["test"]["negatives"]
        self.assertLessEqual(max(negatives.values()) - min(negatives.values()), 2)
        self.assertEqual(set(negatives), {"random", "popular", "adversarial"})

    def test_training_presence_is_balanced(self):
        answers = [a for n in (2, 3) for s in self.stages[n] for question, a in turns_of(s) if "Is there" in question]
        self.assertGreater(len(answers), 30)
        self.assertAlmostEqual(answers.count("yes") / len(answers), 0.5, delta=1.5 / len(answers) ** 0.5)  # three sigma

    def test_what_names_everything_comes_last(self):
        for sample in self.stages[2]:
            asked = [question.removeprefix("<image>\n") for question, _ in turns_of(sample)]
            self.assertNotIn(questions.ALL_OBJECTS, asked[:-1], sample["id"])
            self.assertEqual(asked[-1], questions.ALL_OBJECTS, sample["id"])

    def test_layout_of_the_samples(self):
        for n, expected in ((1, SIZES.stage1), (2, SIZES.stage2), (3, SIZES.stage3 + SIZES.text_only)):
            self.assertEqual(len(self.stages[n]), expected)
            for sample in self.stages[n]:
                turns = sample["conversations"]
                self.assertEqual([t["from"] for t in turns], ["human", "gpt"] * (len(turns) // 2))
                pictures = ["<image>" in t["value"] for t in turns]
                self.assertEqual(pictures, ["image" in sample] + [False] * (len(turns) - 1))
                if "image" in sample:
                    self.assertTrue(turns[0]["value"].startswith("<image>\n"))
                    with Image.open(self.out / "images" / sample["image"]) as picture:
                        self.assertEqual((picture.size, picture.mode), ((224, 224), "RGB"))
        self.assertEqual(len({s["id"] for s in self.stages[3]}), len(self.stages[3]))
        for q in self.test:
            self.assertTrue((self.out / "test_images" / q["image"]).exists())
            self.assertEqual(q["answer"], q["answer"].lower())

    def test_boxes_lie_inside_and_hardly_overlap(self):
        for scene in self.scenes.values():
            boxes = [o["box"] for o in scene["objects"]]
            for i, box in enumerate(boxes):
                self.assertTrue(0 <= box[0] < box[2] <= 224 and 0 <= box[1] < box[3] <= 224)
                self.assertTrue(all(scenes.overlap(box, other) <= scenes.MOST_OVERLAP for other in boxes[:i]))

    def test_same_seed_same_bytes(self):
        again, other = (pathlib.Path(self.folder.name) / name for name in ("again", "other"))
        build_stamps_dataset.build(self.root, again, 3, SIZES)
        build_stamps_dataset.build(self.root, other, 4, Sizes(1, 4, 1, 1, 1))
        files = sorted(p.relative_to(self.out) for p in self.out.rglob("*") if p.is_file())
        self.assertEqual(files, sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file()))
        for file in files:
            self.assertEqual((self.out / file).read_bytes(), (again / file).read_bytes(), file)
        self.assertNotEqual((self.out / "images/stage2-00000.jpg").read_bytes(),
                            (other / "images/stage2-00000.jpg").read_bytes())


def scene_of(*stamps: tuple[str, str]) -> scenes.Scene:
    """Objects (kind, noun) in a row from left to right."""
    return scenes.Scene("scene.jpg", tuple(
        scenes.Placed(catalogue.Stamp(f"{noun}.png", None, kind, noun), (10 + 60 * i, 80, 50 + 60 * i, 120))
        for i, (kind, noun) in enumerate(stamps)))


class Truth(unittest.TestCase):
    """What could be answered either way is not asked."""

    def asked(self, scene: scenes.Scene) -> dict[str, str]:
        shown = scene_of(("animal", "cow"), ("bird", "hen"), ("bird", "owl"), ("plant", "flower"), ("plant", "rose"))
        vocabulary = questions.Vocabulary([p.stamp for p in shown.objects], [shown])
        return {q.text: q.answer for q in questions.all_questions(scene, vocabulary, random.Random(0))}

    def test_a_bird_is_an_animal_too(self):
        asked = self.asked(scene_of(("bird", "owl")))
        self.assertEqual((asked["Is there a bird?"], asked["Is there an insect?"]), ("yes", "no"))
        self.assertNotIn("Is there an animal?", asked)
        asked = self.asked(scene_of(("bird", "owl"), ("animal", "cow")))
        self.assertEqual(asked["Is there an animal?"], "yes")
        self.assertNotIn("How many animals are there?", asked)
        self.assertNotIn("Is the animal on the left or on the right?", asked)
        self.assertEqual(asked["Is the bird on the left or on the right?"], "left")

    def test_signs_and_coins_bear_letters(self):
        self.assertNotIn("Is there a letter?", self.asked(scene_of(("sign", "sign"))))
        self.assertEqual(self.asked(scene_of(("tool", "saw")))["Is there a letter?"], "no")

    def test_other_words_for_the_same_thing(self):
        self.assertNotIn("Is there a hen?", self.asked(scene_of(("bird", "chicken"))))
        self.assertNotIn("Is there a flower?", self.asked(scene_of(("plant", "rose"))))
        self.assertEqual(self.asked(scene_of(("bird", "owl")))["Is there a flower?"], "no")

    def test_only_what_is_clearly_aside_has_a_side(self):
        middle = scenes.Placed(catalogue.Stamp("saw.png", None, "tool", "saw"), (90, 80, 130, 120))
        self.assertNotIn("Is the tool on the left or on the right?", self.asked(scenes.Scene("x.jpg", (middle,))))


class Names(unittest.TestCase):
    def test_from_captions(self):
        for caption, name, noun in (("A great blue heron.", "great blue heron", "heron"),
                                    ("A peacock (a male peafowl).", "peacock", "peacock"),
                                    ("A pair of closed scissors.", "closed scissors", "scissors"),
                                    ("A sea lion.", "sea lion", "sea lion"),
                                    ("A “Fuji” apple.", "fuji apple", "apple")):
            self.assertEqual(names.name_of(caption, "x.png"), name)
            self.assertEqual(names.noun_of(name), noun)
        self.assertIsNone(names.name_of("The red light means you must stop now.", "x.png"))

    def test_the_same_thing_under_two_names(self):
        self.assertTrue(names.may_be_the_same("fish", "butterflyfish"))
        self.assertTrue(names.may_be_the_same("hen", "chicken"))
        self.assertFalse(names.may_be_the_same("owl", "pigeon"))

    def test_spread_is_exact(self):
        found = spread({"a": 0.5, "b": 0.3, "c": 0.2}, 11, random.Random(0))
        self.assertEqual(len(found), 11)
        self.assertIn(found.count("a"), (5, 6))


class CommandLine(unittest.TestCase):
    def test_a_folder_that_is_no_data_set_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            out.mkdir()
            (out / "diary.txt").write_text("mine")
            done = subprocess.run([sys.executable, TOOLS / "build_stamps_dataset.py", "--stamps", folder,
                                   "--out", out, "--quick"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "not a data set|Pillow")
            self.assertEqual((out / "diary.txt").read_text(), "mine")


if __name__ == "__main__":
    unittest.main()

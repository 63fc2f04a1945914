"""Composes all pictures of the data set and asks the questions of its three stages and of its test."""
import dataclasses
import pathlib
import random
import sys

from . import catalogue, kinds, names, questions, scenes
from .catalogue import Stamp
from .questions import Balance, Question, Vocabulary
from .scenes import Scene


@dataclasses.dataclass(frozen=True)
class Sizes:
    stage1: int  # captions, one a picture
    stage2: int  # pictures
    stage3: int  # pictures
    text_only: int  # conversations without a picture, part of stage 3
    test: int  # pictures, with QUESTIONS_PER_TEST_PICTURE questions each on average


QUESTIONS_PER_TEST_PICTURE = 4
FOUND = (8, 12)  # balanced questions about a training picture, fewer where one object gives no more of them
TURNS = (1, 2)  # of them asked: with more, earlier answers give later ones away and nobody needs to look
JPEG_QUALITY = 92

# Shares of pictures by their number of objects; the test needs more pictures of one or two for its questions.
TRAIN_OBJECTS = {1: 0.30, 2: 0.30, 3: 0.14, 4: 0.13, 5: 0.13}
TEST_OBJECTS = {1: 0.45, 2: 0.33, 3: 0.08, 4: 0.07, 5: 0.07}
# Shares of the test's questions.
TEST_KINDS = {"presence": 0.35, "category": 0.25, "count": 0.15, "left_right": 0.15, "object": 0.10}
# Of the test pictures with one object this share shows a thing whose name the training pictures have too.
NAMED_TEST_SHARE = 0.75

CAPTION_PROMPTS = ("Describe the picture.", "What does the picture show?", "Give a short caption.",
                   "Write a brief description of the image.")


class Dataset:
    """Pictures go to images/ and test_images/ below `out`; samples are returned."""

    def __init__(self, root: pathlib.Path, out: pathlib.Path, seed: int, sizes: Sizes):
        self.out, self.seed, self.sizes = out, seed, sizes
        self.stamps = catalogue.split_stamps(catalogue.read_stamps(root), root, seed)
        self.scenes: dict[str, list[Scene]] = {}
        self._cut_outs = scenes.CutOuts(root)
        self._by_kind = {split: {kind: [s for s in self.stamps if s.kind == kind and s.split == split]
                                 for kind in kinds.KINDS} for split in ("train", "test")}
        for split, by_kind in self._by_kind.items():
            for kind, members in by_kind.items():
                if not members:
                    sys.exit(f"{root}: found no {split} stamp of kind '{kind}', expected some "
                             "(is this the folder of tuxpaint-stamps-default?)")
        (out / "images").mkdir(parents=True)
        (out / "test_images").mkdir()

    def compose_scenes(self) -> None:
        """The pictures of stages 2 and 3 and of the test; stage 1 composes its own."""
        for part in ("stage2", "stage3", "test"):
            count = getattr(self.sizes, part)
            rng = self._rng(f"{part}/stamps")
            shares = TEST_OBJECTS if part == "test" else TRAIN_OBJECTS
            self.scenes[part] = [self._compose(part, number, self._stamps_for(part, objects, rng))
                                 for number, objects in enumerate(spread(shares, count, rng))]

    def vocabulary(self) -> Vocabulary:
        return Vocabulary([s for s in self.stamps if s.split == "train"], self.scenes["stage2"])

    def captions(self) -> list[dict]:
        """Stage 1: single stamps, each kind equally often, those without a kind as often as two kinds."""
        rng = self._rng("stage1")
        others = [s for s in self.stamps if s.kind is None]
        pools = [[s for s in pool if s.caption] for pool in [*self._by_kind["train"].values(), others, others]]
        pools = [pool for pool in pools if pool]
        waiting: list[list[Stamp]] = [[] for _ in pools]
        self.scenes["stage1"], samples = [], []
        for number in range(self.sizes.stage1):
            which = number % len(pools)
            if not waiting[which]:  # every stamp once before any comes again
                waiting[which] = rng.sample(pools[which], len(pools[which]))
            stamp = waiting[which].pop()
            scene = self._compose("stage1", number, [stamp])
            self.scenes["stage1"].append(scene)
            samples.append(llava_sample(scene.file, [(rng.choice(CAPTION_PROMPTS), stamp.caption)]))
        rng.shuffle(samples)
        return samples

    def instructions(self, part: str, vocabulary: Vocabulary) -> list[dict]:
        """Stage 2 or 3: many questions a picture."""
        rng, balance = self._rng(f"{part}/questions"), Balance()
        samples = []
        for scene in self.scenes[part]:
            found = questions.conversation(scene, vocabulary, balance, rng.randint(*FOUND), rng)
            asked = rng.sample(found, min(len(found), rng.randint(*TURNS)))
            asked.append(questions.all_from_left_to_right(scene.objects))
            samples.append(llava_sample(scene.file, [(q.text, q.answer) for q in asked]))
        return samples

    def text_only(self, vocabulary: Vocabulary) -> list[dict]:
        """Conversations about the training stamps' names, without a picture."""
        rng = self._rng("text-only")
        kind_of = {noun: next(iter(vocabulary.kind_of_noun[noun])) for noun in vocabulary.nouns
                   if len(vocabulary.kind_of_noun[noun]) == 1 and questions.may_ask_noun(noun)}
        return [llava_sample(None, text_turns(kind_of, rng), f"text-{number:05d}")
                for number in range(self.sizes.text_only)]

    def test_questions(self, vocabulary: Vocabulary) -> list[tuple[Scene, Question]]:
        """Fills the share of each kind of question from the pictures that have been asked least."""
        rng, balance = self._rng("test/questions"), Balance()
        shown = self.scenes["test"]
        left = [questions.all_questions(scene, vocabulary, rng) for scene in shown]
        # Pictures are unseen, words are not: a name that no training picture has could not be given.
        left = [[q for q in found if q.kind != "object" or q.answer in vocabulary.kind_of_noun] for found in left]
        asked = [0] * len(shown)
        chosen: list[tuple[int, Question]] = []
        for kind in spread(TEST_KINDS, QUESTIONS_PER_TEST_PICTURE * len(shown), rng):
            answer = None
            if kind == "presence":
                answer = min(("yes", "no"), key=lambda a: balance.count("presence", a))
            able = {i: [q for q in found if q.kind == kind and answer in (None, q.answer)]
                    for i, found in enumerate(left)}
            waiting = [i for i, found in able.items() if found]
            if not waiting:
                continue
            waiting.sort(key=lambda i: (asked[i], rng.random()))
            pool = [(i, q) for i in waiting[:max(8, len(waiting) // 4)] for q in able[i]]
            i, question = pool[balance.pick([q for _, q in pool], rng)]
            asked[i] += 1
            left[i] = [q for q in left[i] if q.text != question.text]
            chosen.append((i, question))
        return [(shown[i], question) for i, question in sorted(chosen, key=lambda pair: pair[0])]

    def _rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}/{purpose}")

    def _stamps_for(self, part: str, objects: int, rng: random.Random) -> list[Stamp]:
        by_kind = self._by_kind["test" if part == "test" else "train"]
        if part == "test" and objects == 1 and rng.random() < NAMED_TEST_SHARE:
            train_nouns = {s.noun for s in self.stamps if s.split == "train"} - {None}
            named = [[s for s in pool if s.noun in train_nouns] for pool in by_kind.values()]
            return [rng.choice(rng.choice([pool for pool in named if pool]))]
        return scenes.choose_stamps(by_kind, objects, rng)

    def _compose(self, part: str, number: int, stamps: list[Stamp]) -> Scene:
        folder = self.out / ("test_images" if part == "test" else "images")
        file = f"{part}-{number:05d}.jpg"
        picture, placed = scenes.compose(self._cut_outs, stamps, self._rng(f"{part}/{number}"))
        picture.save(folder / file, quality=JPEG_QUALITY)
        total = getattr(self.sizes, part)
        if total >= 100 and (number + 1) % (total // 4) == 0:
            print(f"{part}: {number + 1}/{total} pictures", file=sys.stderr)
        return Scene(file, placed)


def spread(shares: dict, count: int, rng: random.Random) -> list:
    """`count` keys in exactly these shares (to one), shuffled."""
    keys = sorted(shares, key=str)
    exact = {key: count * shares[key] for key in keys}
    whole = {key: int(exact[key]) for key in keys}
    for key in sorted(keys, key=lambda k: whole[k] - exact[k])[:count - sum(whole.values())]:
        whole[key] += 1
    spread_out = [key for key in keys for _ in range(whole[key])]
    rng.shuffle(spread_out)
    return spread_out


def text_turns(kind_of: dict[str, str], rng: random.Random) -> list[tuple[str, str]]:
    nouns = rng.sample(sorted(kind_of), 6)
    first, second = nouns[4:]
    turns = [(f"What kind of thing is {names.with_article(n)}?", kind_of[n]) for n in nouns[:2]]
    turns.append((f"Is {names.with_article(nouns[2])} {kinds.KINDS[kind_of[nouns[2]]][0].replace('any ', '')}?", "yes"))
    wrong = rng.choice([k for k in kinds.KINDS if k != kind_of[nouns[3]] and
                        kind_of[nouns[3]] not in kinds.INCLUDED_KINDS.get(k, set())])
    turns.append((f"Is {names.with_article(nouns[3])} {kinds.KINDS[wrong][0].replace('any ', '')}?", "no"))
    if kind_of[first] != kind_of[second]:
        asked, options = first, rng.sample([first, second], 2)
        if kind_of[second] not in kinds.INCLUDED_KINDS.get(kind_of[asked], set()):
            phrase = kinds.KINDS[kind_of[asked]][0].replace("any ", "")
            turns.append((f"Which is {phrase}: {' or '.join(names.with_article(n) for n in options)}?", asked))
    rng.shuffle(turns)
    return turns


def llava_sample(image: str | None, turns: list[tuple[str, str]], name: str | None = None) -> dict:
    """One entry of a LLaVA JSON file; the picture stands before the first question."""
    conversations = []
    for number, (question, answer) in enumerate(turns):
        value = f"<image>\n{question}" if image and number == 0 else question
        conversations += [{"from": "human", "value": value}, {"from": "gpt", "value": answer}]
    sample = {"id": name or image.removesuffix(".jpg")}
    if image:
        sample["image"] = image
    return {**sample, "conversations": conversations}

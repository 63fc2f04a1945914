"""Questions with exact truth about a scene, and the balance of their answers."""
import collections
import dataclasses
import random

from . import kinds, names
from .catalogue import Stamp
from .scenes import SIZE, Placed, Scene

NUMBERS = ["none", "one", "two", "three", "four", "five"]  # each a single token of the language model
ALL_OBJECTS = "What kinds of things are there, from left to right?"
CLEARLY_ASIDE = 28  # pixels between the middle of the picture and that of an object "on the left"


@dataclasses.dataclass(frozen=True)
class Question:
    kind: str  # object, category, count, left_right or presence
    text: str
    answer: str
    negative: str | None = None  # of a presence question answered "no": random, popular or adversarial


class Vocabulary:
    """What is asked about: the names of the training stamps and how often each kind and name is shown there."""

    def __init__(self, train_stamps: list[Stamp], train_scenes: list[Scene]):
        self.kind_of_noun: dict[str, set[str]] = collections.defaultdict(set)
        for stamp in train_stamps:
            if stamp.noun:
                self.kind_of_noun[stamp.noun].add(stamp.kind)
        # What absences are about; a kind that is its own noun ("coin") is asked about as a kind.
        self.nouns = sorted(set(self.kind_of_noun) - set(kinds.KINDS))
        shown = [placed.stamp for scene in train_scenes for placed in scene.objects]
        kind_counts = collections.Counter(s.kind for s in shown)
        noun_counts = collections.Counter(s.noun for s in shown if s.noun)
        self.popular_kinds = sorted(kinds.KINDS, key=lambda k: (-kind_counts[k], k))[:5]
        self.popular_nouns = sorted(self.nouns, key=lambda n: (-noun_counts[n], n))[:30]


def kinds_meant(kind: str, present: set[str]) -> bool:
    """Whether a question about `kind` would be ambiguous here: a bird is an animal."""
    return bool(kinds.INCLUDED_KINDS.get(kind, set()) & present)


def may_ask_noun(noun: str | None) -> bool:
    return noun is not None and noun not in names.PLURAL_OR_MASS


def what_is_it(objects: tuple[Placed, ...]) -> list[Question]:
    if len(objects) != 1:
        return []
    stamp = objects[0].stamp
    found = [Question("category", "What kind of thing is it?", stamp.kind)]
    if stamp.noun:
        found.append(Question("object", "What is it?", stamp.noun))
    return found


def what_is_where(objects: tuple[Placed, ...]) -> list[Question]:
    if len(objects) != 2 or objects[0].stamp.kind == objects[1].stamp.kind:
        return []
    return [Question("category", f"What kind of thing is on the {side}?", placed.stamp.kind)
            for side, placed in zip(("left", "right"), objects)]


def all_from_left_to_right(objects: tuple[Placed, ...]) -> Question:
    """Trains much at once, and gives all else away: to be asked last, and never in a test."""
    return Question("all", ALL_OBJECTS, ", ".join(placed.stamp.kind for placed in objects))


def how_many(objects: tuple[Placed, ...]) -> list[Question]:
    present = [p.stamp.kind for p in objects]
    found = [Question("count", "How many objects are there?", NUMBERS[len(objects)])]
    for kind in sorted(set(present)):
        if len(objects) > 1 and not kinds_meant(kind, set(present)):
            plural = kinds.KINDS[kind][2]
            found.append(Question("count", f"How many {plural} are there?", NUMBERS[present.count(kind)]))
    return found


def left_or_right(objects: tuple[Placed, ...]) -> list[Question]:
    present = [p.stamp.kind for p in objects]
    found = []
    for placed in objects:
        kind = placed.stamp.kind
        aside = placed.centre_x - SIZE / 2
        if abs(aside) < CLEARLY_ASIDE or present.count(kind) > 1 or kinds_meant(kind, set(present)):
            continue
        text = f"Is the {kinds.KINDS[kind][1]} on the left or on the right?"
        found.append(Question("left_right", text, "left" if aside < 0 else "right"))
    return found


def present_things(objects: tuple[Placed, ...], vocabulary: Vocabulary) -> list[Question]:
    found = [Question("presence", f"Is there {kinds.KINDS[kind][0]}?", "yes")
             for kind in sorted({p.stamp.kind for p in objects})]
    nouns = {p.stamp.noun for p in objects if p.stamp.noun in vocabulary.kind_of_noun} - set(kinds.KINDS)
    return found + [Question("presence", f"Is there {names.with_article(noun)}?", "yes")
                    for noun in sorted(nouns) if may_ask_noun(noun)]


def absent_things(objects: tuple[Placed, ...], vocabulary: Vocabulary, rng: random.Random) -> list[Question]:
    """Absences of the three sorts of POPE: any; often shown elsewhere; near to what is present."""
    present = {p.stamp.kind for p in objects}
    absent_kinds = [k for k in kinds.KINDS if k not in present and not kinds_meant(k, present)]
    near = {k for kind in present for k in kinds.NEAR_KINDS[kind]}

    def truly_absent(noun: str) -> bool:
        if not may_ask_noun(noun) or any(p.stamp.noun and names.may_be_the_same(noun, p.stamp.noun) for p in objects):
            return False
        same_kind = bool(vocabulary.kind_of_noun[noun] & present)
        return not (same_kind and noun in names.GENERIC_NOUNS)

    absent_nouns = [n for n in vocabulary.nouns if truly_absent(n)]
    found = []
    for sort, kind_pool, noun_pool in (
            ("random", absent_kinds, absent_nouns),
            ("popular", [k for k in absent_kinds if k in vocabulary.popular_kinds],
             [n for n in absent_nouns if n in vocabulary.popular_nouns]),
            ("adversarial", [k for k in absent_kinds if k in near],
             [n for n in absent_nouns if vocabulary.kind_of_noun[n] & present])):
        found += [Question("presence", f"Is there {kinds.KINDS[k][0]}?", "no", sort) for k in kind_pool]
        few = rng.sample(noun_pool, min(4, len(noun_pool)))
        found += [Question("presence", f"Is there {names.with_article(n)}?", "no", sort) for n in few]
    return found


def all_questions(scene: Scene, vocabulary: Vocabulary, rng: random.Random) -> list[Question]:
    objects = scene.objects
    return (what_is_it(objects) + what_is_where(objects) + how_many(objects) + left_or_right(objects) +
            present_things(objects, vocabulary) + absent_things(objects, vocabulary, rng))


class Balance:
    """Counts what has been asked and prefers the question whose answer its own wording has had too rarely."""

    NOUN_SHARE = 0.25  # of the presence questions ask for a name, the others for a kind

    def __init__(self) -> None:
        self._by_text: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self._by_kind: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self._presence: collections.Counter = collections.Counter()  # by answer and whether a kind is asked for

    def count(self, kind: str, answer: str) -> int:
        return self._by_kind[kind][answer]

    def pick(self, candidates: list[Question], rng: random.Random) -> int:
        """The index of the most wanted candidate, which counts as asked."""
        order = rng.sample(range(len(candidates)), len(candidates))
        best = min(order, key=lambda i: self._surplus(candidates[i]))
        question = candidates[best]
        self._by_text[question.text][question.answer] += 1
        self._by_kind[question.kind][question.answer] += 1
        self._by_kind["negative"][question.negative] += 1
        if question.kind == "presence":
            self._presence[question.answer, asks_for_kind(question)] += 1
        return best

    def _surplus(self, question: Question) -> tuple:
        """Smaller is more wanted."""
        counts = self._by_text[question.text]
        others = [n for answer, n in counts.items() if answer != question.answer]
        lead = counts[question.answer] - max(others, default=0)
        overall = self._by_kind[question.kind][question.answer]
        if question.kind == "count":
            return (overall, lead)
        if question.kind != "presence":
            return (lead, overall)
        for_kind, for_noun = (self._presence[question.answer, flag] for flag in (True, False))
        noun_wanted = for_noun < self.NOUN_SHARE * (for_kind + for_noun + 1)
        return (noun_wanted == asks_for_kind(question), self._by_kind["negative"][question.negative], lead)


PRESENCE_OF_KIND = {f"Is there {phrases[0]}?" for phrases in kinds.KINDS.values()}


def asks_for_kind(question: Question) -> bool:
    return question.text in PRESENCE_OF_KIND


def conversation(scene: Scene, vocabulary: Vocabulary, balance: Balance, turns: int,
                 rng: random.Random) -> list[Question]:
    """Up to `turns` different questions about a scene, as many "yes" as "no" among those about presence."""
    found = all_questions(scene, vocabulary, rng)
    chosen: list[Question] = []

    def choose(kind: str, answer: str | None = None) -> bool:
        asked = {q.text for q in chosen}
        able = [q for q in found if q.kind == kind and q.text not in asked and answer in (None, q.answer)]
        if able:
            chosen.append(able[balance.pick(able, rng)])
        return bool(able)

    for kind, most in (("object", 1), ("category", 2), ("count", 2), ("left_right", 2)):
        for _ in range(most):
            choose(kind)
    while len(chosen) + 2 <= turns and choose("presence", "yes"):
        choose("presence", "no")
    rng.shuffle(chosen)
    return chosen

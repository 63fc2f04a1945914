"""Reads the stamps: name, kind and near-duplicates of each, and the split into training and test stamps."""
import collections
import dataclasses
import pathlib
import random
import re

from . import kinds, names

TEST_SHARE = 0.15
FEWEST_TEST_STAMPS = 3  # of a kind, so that its score rests on more than one picture


@dataclasses.dataclass(frozen=True)
class Stamp:
    path: str  # below the stamps' root
    caption: str | None  # "A great blue heron.", for stage 1; None when the caption does not describe the picture
    kind: str | None  # None: appears in stage 1 only
    noun: str | None  # "heron": the answer to "What is it?"; None when there is no short one
    split: str = "train"


def read_stamps(root: pathlib.Path) -> list[Stamp]:
    """Every PNG that has a caption file beside it, in path order. The first line of that file is English."""
    stamps = []
    for picture in sorted(root.rglob("*.png")):
        text = picture.with_suffix(".txt")
        if not text.exists():
            continue  # mirrored variants share the caption of their original
        path = picture.relative_to(root).as_posix()
        kind = kinds.kind_of_path(path)
        line = first_line(text)
        stamps.append(Stamp(path, names.caption_of(line, path), kind, noun(kind, line, path)))
    return stamps


def first_line(text: pathlib.Path) -> str:
    return text.read_text(encoding="utf-8").splitlines()[0]


def noun(kind: str | None, caption: str, path: str) -> str | None:
    if kind is None or kind in kinds.NAMED_BY_KIND:
        return kind
    name = names.name_of(caption, path)
    return None if name is None else names.noun_of(name)


def split_stamps(stamps: list[Stamp], root: pathlib.Path, seed: int) -> list[Stamp]:
    """About 15 % of each kind's stamps become test stamps, near-duplicates together; stamps without kind train."""
    groups = group_near_duplicates(stamps, root)
    rng = random.Random(f"{seed}/split")
    test_paths: set[str] = set()
    for kind in kinds.KINDS:
        members = sum(s.kind == kind for s in stamps)
        wanted = max(FEWEST_TEST_STAMPS, round(TEST_SHARE * members))
        # Groups that also hold a stamp of another kind, or of none, stay in training.
        own = [g for g in groups if all(s.kind == kind for s in g)]
        rng.shuffle(own)
        nouns = collections.Counter(noun for g in own for noun in {s.noun for s in g})
        # Half of the test stamps have a name that training pictures have too ("penguin", of another penguin), so
        # that "What is it?" can be answered.
        shared = [g for g in own if any(nouns[s.noun] > 1 for s in g)]
        taken = 0
        for pool, limit in ((shared, wanted / 2), (own, wanted)):
            for group in pool:
                if group[0].path not in test_paths and taken < limit and taken + len(group) <= wanted + 1:
                    test_paths.update(s.path for s in group)
                    taken += len(group)
    return [dataclasses.replace(s, split="test" if s.path in test_paths else "train") for s in stamps]


# "cow_white" is another cow, but "pig_golden2" may be the same pig as "pig_golden".
SUFFIX = re.compile(r"[_-]?\d+$|[_-]([a-z]|left|right|new|old|open|closed|in|out|photo|outline|stand|sitting|baby)$")


def group_near_duplicates(stamps: list[Stamp], root: pathlib.Path) -> list[list[Stamp]]:
    """Stamps with the same caption, or whose file names differ by a number or a suffix only, form a group."""
    parent = list(range(len(stamps)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_with: dict[tuple, int] = {}
    for i, stamp in enumerate(stamps):
        for key in duplicate_keys(stamp, first_line((root / stamp.path).with_suffix(".txt"))):
            j = first_with.setdefault(key, i)
            parent[find(i)] = find(j)
    groups: dict[int, list[Stamp]] = {}
    for i, stamp in enumerate(stamps):
        groups.setdefault(find(i), []).append(stamp)
    return list(groups.values())


def duplicate_keys(stamp: Stamp, caption: str) -> list[tuple]:
    """Two stamps that share any key are near-duplicates."""
    path = pathlib.PurePosixPath(stamp.path)
    if stamp.kind == "letter":
        return [("letter", path.stem[0].lower())]  # A filled, A outlined, a ...
    stem = path.stem.lower().strip("0123456789")
    while SUFFIX.search(stem):
        stem = SUFFIX.sub("", stem)
    folder = path.parent.as_posix() if not re.search("[a-z]", stem) else ""  # "001", "002": numbered in a folder
    words = tuple(re.findall(r"[a-z]+", names.normalise(caption)))
    look_alikes = [("looks", i) for i, paths in enumerate(kinds.LOOK_ALIKES) if stamp.path in paths]
    return [("caption", words), ("file", folder, stem), *look_alikes]

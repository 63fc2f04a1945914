#!/usr/bin/env python3
"""Builds the demo's data set from the Tux Paint stamps: LLaVA JSON for the three stages and a held-out test.

The stamps are split, not the pictures: no test picture shows a training stamp. The same seed gives the same bytes.
"""
import argparse
import collections
import dataclasses
import hashlib
import json
import pathlib
import sys

import PIL

from stamps import kinds
from stamps.command import make_parser, whole_folder
from stamps.dataset import Dataset, Sizes

DEFAULT = Sizes(stage1=1400, stage2=2400, stage3=800, text_only=150, test=300)
QUICK = Sizes(stage1=48, stage2=48, stage3=32, text_only=8, test=24)
FULL = Sizes(stage1=4200, stage2=10000, stage3=3000, text_only=300, test=300)


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, "build_stamps_dataset.py --stamps stamps --out /tmp/data --quick", "a data set",
                         "of split, scenes and questions")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few dozen pictures, to see that all works")
    size.add_argument("--full", action="store_true", help="17,200 training pictures, for a run of hours")
    parser.add_argument("--train-scenes", type=int, metavar="N", help="pictures of stage 2; stage 3 gets half")
    parser.add_argument("--test-scenes", type=int, metavar="N", help="pictures of the test")
    return parser.parse_args()


def chosen_sizes(arguments: argparse.Namespace) -> Sizes:
    sizes = QUICK if arguments.quick else FULL if arguments.full else DEFAULT
    if arguments.train_scenes is not None:
        sizes = dataclasses.replace(sizes, stage2=arguments.train_scenes, stage3=(arguments.train_scenes + 1) // 2)
    if arguments.test_scenes is not None:
        sizes = dataclasses.replace(sizes, test=arguments.test_scenes)
    if min(sizes.stage2, sizes.test) < 1:
        sys.exit("--train-scenes and --test-scenes: expected at least 1")
    return sizes


def write_lines(path: pathlib.Path, entries: list[dict], as_list: bool) -> None:
    """JSON with one entry a line, so that the files can be read by eye and compared by diff."""
    lines = [json.dumps(entry, ensure_ascii=False) for entry in entries]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n" if as_list else "\n".join(lines) + "\n", encoding="utf-8")


def build(stamps: pathlib.Path, out: pathlib.Path, seed: int, sizes: Sizes) -> dict:
    """Writes the data set into `out`, which must not exist, and returns its manifest."""
    dataset = Dataset(stamps, out, seed, sizes)
    dataset.compose_scenes()
    vocabulary = dataset.vocabulary()
    stages = {"stage1.json": dataset.captions()}
    stages["stage2.json"] = dataset.instructions("stage2", vocabulary)
    stages["stage3.json"] = dataset.instructions("stage3", vocabulary) + dataset.text_only(vocabulary)
    for file, samples in stages.items():
        write_lines(out / file, samples, as_list=True)

    test = []
    for number, (scene, question) in enumerate(dataset.test_questions(vocabulary)):
        entry = {"question_id": number, "image": scene.file, "text": question.text, "category": question.kind,
                 "answer": question.answer}
        test.append(entry | ({"negative": question.negative} if question.negative else {}))
    write_lines(out / "test.jsonl", test, as_list=False)
    write_lines(out / "scenes.jsonl", [describe(part, scene) for part, shown in sorted(dataset.scenes.items())
                                       for scene in shown], as_list=False)

    manifest = make_manifest(dataset, stamps, out, stages, test)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def describe(part: str, scene) -> dict:
    objects = [{"stamp": p.stamp.path, "kind": p.stamp.kind, "noun": p.stamp.noun, "box": p.box}
               for p in scene.objects]
    return {"part": part, "image": scene.file, "objects": objects}


def make_manifest(dataset: Dataset, stamps: pathlib.Path, out: pathlib.Path, stages: dict[str, list[dict]],
                  test: list[dict]) -> dict:
    package = stamps / "package.json"
    files = {file: {"samples": len(samples),
                    "with_picture": sum("image" in s for s in samples),
                    "answers": sum(len(s["conversations"]) // 2 for s in samples)}
             for file, samples in stages.items()}
    files["test.jsonl"] = {"samples": len(test), "with_picture": len(test),
                           "pictures": len({q["image"] for q in test})}
    for file in [*files, "scenes.jsonl"]:
        files.setdefault(file, {})["sha256"] = hashlib.sha256((out / file).read_bytes()).hexdigest()
    split = {kind: {side: [s.path for s in dataset.stamps if s.kind == kind and s.split == side]
                    for side in ("train", "test")} for kind in kinds.KINDS}
    return {
        "source": json.loads(package.read_text(encoding="utf-8")) if package.exists() else None,
        "licence": "GPL-2 (the pictures are made of the stamps)",
        "seed": dataset.seed,
        "sizes": dataclasses.asdict(dataset.sizes),
        "pillow": PIL.__version__,
        "files": files,
        "test": test_statistics(test, stages),
        "split": split,
        "captions_only": [s.path for s in dataset.stamps if s.kind is None],
    }


def test_statistics(test: list[dict], stages: dict[str, list[dict]]) -> dict:
    """Counts by kind and answer, and how far one gets without looking at a picture."""
    answers = collections.defaultdict(collections.Counter)
    for question in test:
        answers[question["category"]][question["answer"]] += 1
    most_common = {kind: counts.most_common(1)[0] for kind, counts in sorted(answers.items())}
    trained = collections.defaultdict(collections.Counter)
    for sample in stages["stage2.json"] + stages["stage3.json"]:
        turns = sample["conversations"]
        for human, gpt in zip(turns[::2], turns[1::2]):
            trained[human["value"].removeprefix("<image>\n")][gpt["value"]] += 1
    guessed = sum(bool(trained[q["text"]]) and trained[q["text"]].most_common(1)[0][0] == q["answer"] for q in test)
    return {
        "counts": {kind: dict(counts.most_common()) for kind, counts in sorted(answers.items())},
        "negatives": dict(collections.Counter(q["negative"] for q in test if "negative" in q)),
        "majority": {kind: {"answer": answer, "share": round(n / answers[kind].total(), 4)}
                     for kind, (answer, n) in most_common.items()},
        "majority_of_all": round(sum(n for _, n in most_common.values()) / len(test), 4),
        "best_answer_per_wording": round(guessed / len(test), 4),
    }


def main() -> None:
    arguments = parse_arguments()
    sizes = chosen_sizes(arguments)
    with whole_folder(arguments, "manifest.json", "is not empty and not a data set") as partial:
        manifest = build(arguments.stamps, partial, arguments.seed, sizes)
    for file, facts in manifest["files"].items():
        if "samples" in facts:
            print(f"{arguments.out / file}: {facts['samples']} samples, {facts['with_picture']} with a picture")


if __name__ == "__main__":
    main()

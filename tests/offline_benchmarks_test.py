#!/usr/bin/env python3
"""tools/build_stamps_benchmarks.py on stamps that are drawn here: whoever gives the true answers has full marks, and
`moe-llava eval` runs them all in one command. Exits 77 (skipped) without Pillow.
Usage: offline_benchmarks_test.py MOE_LLAVA"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "tools"), str(TESTS.parent / "tools")]
from test_build_stamps import draw_stamps, read_lines, scene_of  # noqa: E402  exits 77 without Pillow
import build_stamps_benchmarks  # noqa: E402
from stamps import kinds  # noqa: E402
from stamps.benchmarks import choice, yes_no  # noqa: E402
from stamps.benchmarks.source import Source  # noqa: E402
from train_tiny_folder import train_arguments, write_all  # noqa: E402

PROGRAM = None
# What full marks are.
SCORED = {"pope": 100, "mme": 4 * 200, "vqav2_val": 100, "gqa": 100, "textvqa": 100, "scienceqa": 100, "mmbench": 100,
          "mmbench_cn": 100, "seed_bench": 100}
ELSEWHERE = ("vqav2", "vizwiz", "llava_bench", "mm_vet")


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


class Truth:
    """The right answer to every question, from the benchmarks' own files."""

    def __init__(self, root):
        self.root = root

    def pope(self):
        asked = read_lines(self.root / "pope/llava_pope_test.jsonl")
        labels = [line["label"] for category in ("adversarial", "popular", "random")
                  for line in read_lines(self.root / f"pope/coco/coco_pope_{category}.json")]
        return [(q["question_id"], q["text"], label) for q, label in zip(asked, labels, strict=True)]

    def mme(self):
        found = []
        for q in read_lines(self.root / "MME/llava_mme.jsonl"):
            text = (self.root / "MME/MME_Benchmark_release_version" / q["image"]).with_suffix(".txt").read_text()
            truth = {question.removesuffix(" Please answer yes or no."): answer
                     for question, answer in (line.split("\t") for line in text.splitlines())}
            found.append((q["question_id"], q["text"], truth[q["text"].split("\n")[0]]))
        return found

    def vqav2_val(self):
        return [(a["question_id"], "", a["multiple_choice_answer"])
                for a in read_json(self.root / "vqav2/v2_mscoco_val2014_annotations.json")["annotations"]]

    def gqa(self):
        return [(key, "", q["answer"])
                for key, q in read_json(self.root / "gqa/data/testdev_balanced_questions.json").items()]

    def textvqa(self):
        asked = read_lines(self.root / "textvqa/llava_textvqa_val_v051_ocr.jsonl")
        data = read_json(self.root / "textvqa/TextVQA_0.5.1_val.json")["data"]
        return [(q["question_id"], q["text"], entry["answers"][0]) for q, entry in zip(asked, data, strict=True)]

    def scienceqa(self):
        problems = read_json(self.root / "scienceqa/problems.json")
        return [(key, "<image>\n" if problem["image"] else "", "ABCD"[problem["answer"]])
                for key, problem in problems.items()]

    def mmbench(self, name="mmbench_dev_20230712"):
        lines = (self.root / f"mmbench/{name}.tsv").read_text(encoding="utf-8").splitlines()
        rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
        return [(int(row["index"]), "", row["answer"]) for row in rows]

    def mmbench_cn(self):
        return self.mmbench("mmbench_dev_cn_20231003")

    def seed_bench(self):
        return [(q["question_id"], "", q["answer"])
                for q in read_json(self.root / "seed_bench/SEED-Bench.json")["questions"]]


class OfflineBenchmarks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.stamps, cls.root = cls.folder / "stamps", cls.folder / "eval"
        draw_stamps(cls.stamps)
        cls.root.mkdir()
        cls.counts = build_stamps_benchmarks.build(cls.stamps, cls.root, seed=3, plain=False, divisor=60)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def evaluate(self, *arguments):
        done = subprocess.run([PROGRAM, "eval", "--data", self.root, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_true_answers_have_full_marks(self):
        answers, out = self.folder / "answers", self.folder / "oracle"
        answers.mkdir()
        for task in SCORED:
            given = getattr(Truth(self.root), task)()
            (answers / f"{task}.jsonl").write_text("".join(
                json.dumps({"question_id": key, "prompt": prompt, "text": text, "model_id": "oracle"}) + "\n"
                for key, prompt, text in given), encoding="utf-8")
        self.evaluate("--tasks", ",".join(SCORED), "--predictions", answers, "--out", out)
        for result in read_json(out / "report.json")["results"]:
            self.assertEqual(result["published"]["value"], SCORED[result["task"]], result["task"])
            self.assertEqual(result["overall"]["accuracy"], 1, result["task"])
            self.assertEqual(result["yes_no_unclear"], 0, result["task"])

    def test_all_run_in_one_command(self):
        write_all(self.folder)
        model = self.folder / "moe"
        trained = subprocess.run(train_arguments(PROGRAM, self.folder, model), capture_output=True, text=True)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        for name, extra in (("seen", ["--batch-size", 4]), ("one_by_one", []), ("blank", ["--blank-images"])):
            self.evaluate("--model", model, "--tasks", ",".join([*SCORED, *ELSEWHERE]), "--threads", 1,
                          "--max-new-tokens", 2, "--out", self.folder / name, *extra)
        reports = {name: read_json(self.folder / name / "report.json")["results"] for name in ("seen", "blank")}
        self.assertEqual([r["task"] for r in reports["seen"]], [*SCORED, *ELSEWHERE])
        self.assertTrue(all(r["blank_images"] for r in reports["blank"]))
        for task in ELSEWHERE:
            self.assertTrue((self.folder / f"seen/answers/{task}.jsonl").exists())
        # In batches the answers are the same.
        for task in [*SCORED, *ELSEWHERE]:
            texts = [[line["text"] for line in read_lines(self.folder / name / f"answers/{task}.jsonl")]
                     for name in ("seen", "one_by_one")]
            self.assertEqual(*texts, task)

    def test_yes_and_no_are_balanced(self):
        for category in ("random", "popular", "adversarial"):
            labels = [q["label"] for q in read_lines(self.root / f"pope/coco/coco_pope_{category}.json")]
            self.assertEqual(labels, ["yes", "no"] * (len(labels) // 2))
        texts = {category: {q["text"] for q in read_lines(self.root / f"pope/coco/coco_pope_{category}.json")
                            if q["label"] == "yes"} for category in ("random", "popular", "adversarial")}
        self.assertTrue(texts["random"] == texts["popular"] == texts["adversarial"])

    def test_the_same_seed_gives_the_same_bytes(self):
        again = self.folder / "again"
        again.mkdir()
        build_stamps_benchmarks.build(self.stamps, again, seed=3, plain=False, divisor=60)
        files = sorted(p.relative_to(self.root) for p in self.root.rglob("*") if p.is_file())
        self.assertEqual(files, sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file()))
        for file in files:
            self.assertEqual((self.root / file).read_bytes(), (again / file).read_bytes(), file)

    def test_no_training_stamp_is_shown(self):
        source = Source(self.stamps, 3)
        shown = {placed.stamp.split for _, (_, objects) in zip(range(30), source.scenes("x", (1, 2, 3)))
                 for placed in objects}
        self.assertEqual(shown, {"test"})


class QuestionsAndOptions(unittest.TestCase):
    def test_pairs_hold_one_truth(self):
        objects = scene_of(("bird", "owl"), ("tool", "saw")).objects
        self.assertEqual(yes_no.count(None, objects, random.Random(0))[0], "Are there two objects?")
        self.assertNotEqual(yes_no.count(None, objects, random.Random(0))[1], "Are there two objects?")
        for seed in range(5):
            true, false = yes_no.position(None, objects, random.Random(seed))
            sides = {"bird": "left", "tool": "right"}
            thing, side = true.removeprefix("Is the ").removesuffix("?").split(" on the ")
            self.assertEqual(side, sides[thing])
            self.assertEqual(false, f"Is the {thing} on the {({'left': 'right', 'right': 'left'})[side]}?")

    def test_one_option_is_right(self):
        for seed in range(20):
            options, right = choice.options_of("b", ["a", "b", "c", "d"], 3, random.Random(seed))
            self.assertEqual((options[right], len(set(options))), ("b", 3))
        self.assertNotIn("animal", choice.other_kinds("bird"))  # a bird is an animal, too
        self.assertNotIn("bird", choice.other_kinds("animal"))
        self.assertTrue(set(choice.FACTS) <= set(kinds.KINDS))
        self.assertEqual(set(choice.CHINESE), set(kinds.KINDS))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

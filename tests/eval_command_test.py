#!/usr/bin/env python3
"""`moe-llava eval`, `compare` and `routing` from outside, on a tiny model that is trained first.
Usage: eval_command_test.py MOE_LLAVA"""
import csv
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

from benchmark_folder import write_benchmarks
from train_tiny_folder import train_arguments, write_all

PROGRAM = None
GOLDEN = pathlib.Path(__file__).resolve().parent / "golden/eval"
QUESTIONS = [
    {"question_id": 0, "image": "0.png", "text": "Is there a dog?", "category": "presence", "answer": "yes"},
    {"question_id": "b", "image": "1.png", "text": "Is there a cat?", "category": "presence", "answer": "no"},
    {"question_id": 2, "image": "0.png", "text": "How many?", "category": "count", "answer": "two"},
    {"question_id": 3, "text": "What is it?", "answer": "nothing"},
]


class EvalCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        write_all(cls.folder)
        cls.model = cls.folder / "moe"
        trained = subprocess.run(train_arguments(PROGRAM, cls.folder, cls.model), capture_output=True, text=True)
        assert trained.returncode == 0, trained.stderr
        cls.benchmarks = cls.folder / "eval"
        write_benchmarks(cls.benchmarks)
        cls.questions = cls.folder / "questions.jsonl"
        cls.questions.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def on_questions(self, command, *arguments, code=0):
        return self.run_program(command, "--model", self.model, "--questions", self.questions, "--threads", "1",
                                *arguments, code=code)

    def evaluate(self, name, *arguments):
        result = self.folder / f"{name}.json"
        self.on_questions("eval", "--image-folder", self.folder / "images", "--result", result,
                          "--answers", self.folder / f"{name}.jsonl", *arguments)
        return json.loads(result.read_text())

    def test_results_and_answers(self):
        result = self.evaluate("seen")
        self.assertEqual(result["overall"]["questions"], 4)
        self.assertEqual(sorted(result["categories"]), ["all", "count", "presence"])
        self.assertEqual(result["overall"]["majority"], 0.75)
        self.assertEqual((result["yes_no_questions"], result["image_size"]), (2, 16))
        self.assertGreater(result["parameters"]["total"], result["parameters"]["active"])
        lines = [json.loads(line) for line in (self.folder / "seen.jsonl").read_text().splitlines()]
        self.assertEqual([line["question_id"] for line in lines], [q["question_id"] for q in QUESTIONS])
        self.assertEqual([line["prompt"] for line in lines], [q["text"] for q in QUESTIONS])
        self.assertEqual({line["model_id"] for line in lines}, {"moe"})

    def test_the_same_answers_twice(self):
        self.evaluate("first")
        self.evaluate("second")
        self.assertEqual((self.folder / "first.jsonl").read_bytes(), (self.folder / "second.jsonl").read_bytes())

    def test_drawn_second_experts_repeat_with_their_seed(self):
        for name, seed in (("one", 1), ("again", 1)):
            self.evaluate(name, "--router-sampling", "gumbel", "--seed", seed)
        self.assertEqual((self.folder / "one.jsonl").read_bytes(), (self.folder / "again.jsonl").read_bytes())

    def test_limit_and_blank_images(self):
        result = self.evaluate("blank", "--blank-images", "--limit", "2")
        self.assertTrue(result["blank_images"])
        self.assertEqual(result["overall"]["questions"], 2)

    def test_comparison(self):
        for name, extra in (("a", []), ("b", ["--blank-images"])):
            self.evaluate(name, *extra)
        files = [self.folder / "a.json", self.folder / "b.json"]
        heads = self.run_program("compare", *files).stdout.splitlines()[0]
        self.assertEqual([cell.strip() for cell in heads.split("|")[2:-1]], ["moe", "moe, image blanked"])
        table = self.run_program("compare", *files, "--labels", "MoE", "MoE, blind").stdout
        self.assertEqual({line.count("|") for line in table.splitlines()}, {4})
        self.assertIn("| MoE, blind |", table)
        self.assertIn("expected 2", self.run_program("compare", *files, "--labels", "one", code=2).stderr)

    def on_benchmark(self, task, *arguments, code=0):
        return self.run_program("eval", "--model", self.model, "--task", task, "--data", self.benchmarks,
                                "--threads", "1", "--max-new-tokens", "3", *arguments, code=code)

    def test_every_benchmark_that_is_scored_here(self):
        counts = {"pope": 6, "scienceqa": 2, "textvqa": 1, "gqa": 1, "mme": 2, "mmbench": 2, "mmbench_cn": 2,
                  "seed_bench": 1}
        for task, questions in counts.items():
            with self.subTest(task):
                result, answers = self.folder / f"{task}.json", self.folder / f"{task}.jsonl"
                self.on_benchmark(task, "--result", result, "--answers", answers)
                written = json.loads(result.read_text())
                self.assertEqual((written["task"], written["overall"]["questions"]), (task, questions))
                self.assertEqual(written["asked"], questions)
                self.assertGreater(written["images_per_second"], 0)
                low, high = written["overall"]["confidence_95"]
                self.assertLessEqual(low, written["overall"]["accuracy"])
                self.assertLessEqual(written["overall"]["accuracy"], high)
                # The same answers as predictions have the same scores.
                again = self.folder / "again.json"
                self.run_program("eval", "--task", task, "--data", self.benchmarks, "--predictions", answers,
                                 "--result", again)
                scored = json.loads(again.read_text())
                for field in ("overall", "categories", "figures", "published", "yes_ratio", "yes_no_unclear"):
                    self.assertEqual(scored[field], written[field], field)
                self.assertEqual(scored["model"], "moe")

    def test_every_benchmark_that_is_scored_elsewhere(self):
        for task, expected in (("vqav2", 2), ("vizwiz", 1), ("mm_vet", 1)):
            with self.subTest(task):
                submission = self.folder / "submission.json"
                self.on_benchmark(task, "--submission", submission)
                self.assertEqual(len(json.loads(submission.read_text())), expected)
                refused = self.on_benchmark(task, "--result", self.folder / "none.json", code=2)
                self.assertIn("--result: this benchmark is not scored here", refused.stderr)
        answers = self.folder / "llava_bench.jsonl"
        self.assertIn("1 answers", self.on_benchmark("llava_bench", "--answers", answers).stdout)
        self.assertEqual(len(answers.read_text().splitlines()), 1)

    def test_answers_made_elsewhere(self):
        """The official scripts' results for the same answers; no question file where they need none."""
        pope, result, submission = GOLDEN / "pope", self.folder / "golden.json", self.folder / "golden.txt"
        for task, predictions, arguments, published in (
                ("pope", pope / "answers.jsonl",
                 ["--questions", pope / "questions.jsonl", "--annotations", pope / "annotations"], 57.9322),
                ("scienceqa", GOLDEN / "sqa/answers.jsonl", ["--annotations", GOLDEN / "sqa"], 23.5294),
                ("textvqa", GOLDEN / "textvqa/answers.jsonl",
                 ["--annotations", GOLDEN / "textvqa/annotations.json"], 93.75),
                ("gqa", GOLDEN / "gqa/merge.jsonl",
                 ["--questions", GOLDEN / "gqa/testdev_balanced_questions.json"], 55.0)):
            with self.subTest(task):
                self.run_program("eval", "--task", task, "--predictions", predictions, "--result", result, *arguments)
                self.assertAlmostEqual(json.loads(result.read_text())["published"]["value"], published, places=4)
        vqav2 = GOLDEN / "vqav2"
        self.run_program("eval", "--task", "vqav2", "--predictions", vqav2 / "answers/test-dev/ck/merge.jsonl",
                         "--annotations", vqav2 / "llava_vqav2_mscoco_test2015.jsonl", "--submission", submission)
        self.assertEqual(submission.read_bytes(), (vqav2 / "answers_upload/test-dev/ck.json").read_bytes())

    def test_circular_options(self):
        result = self.folder / "circular.json"
        self.on_benchmark("mmbench", "--circular", "--result", result)
        written = json.loads(result.read_text())
        self.assertEqual((written["asked"], written["overall"]["questions"]), (3 + 2, 2))

    def test_a_killed_run_goes_on(self):
        questions = self.folder / "many.jsonl"
        questions.write_text("".join(json.dumps(QUESTIONS[0] | {"question_id": i, "text": f"Is it number {i}?"}) + "\n"
                                     for i in range(60)))
        answers = self.folder / "killed.jsonl"
        command = ["eval", "--model", self.model, "--questions", questions, "--image-folder",
                   self.folder / "images", "--threads", "1", "--answers"]
        running = subprocess.Popen([PROGRAM, *map(str, command), answers], stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)
        while running.poll() is None and not (answers.exists() and answers.read_text().count("\n") >= 5):
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.wait()
        kept = answers.read_text().splitlines()[:5]
        with answers.open("a") as file:
            file.write('{"question_id": 1, "te')  # as a kill in the middle of a line would leave it
        scores = {}
        for name, file in (("killed", answers), ("whole", self.folder / "whole.jsonl")):
            result = self.folder / f"{name}.json"
            self.run_program(*command, file, "--result", result)
            scores[name] = json.loads(result.read_text())
        self.assertEqual(answers.read_bytes(), (self.folder / "whole.jsonl").read_bytes())
        self.assertTrue(set(kept) <= set(answers.read_text().splitlines()))
        self.assertLess(scores["killed"]["asked"], 60)
        for field in ("overall", "categories", "yes_ratio", "yes_no_unclear", "parameters"):
            self.assertEqual(scores["killed"][field], scores["whole"][field])

    def test_answers_of_another_run(self):
        self.evaluate("mine")
        answers = self.folder / "mine.jsonl"
        before = answers.read_bytes()
        images = ["--image-folder", self.folder / "images", "--answers", answers]
        self.assertIn("metadata: settings: answers of another run",
                      self.on_questions("eval", *images, "--blank-images", code=3).stderr)
        self.assertIn("mine.jsonl:2: question_id: not among the questions",
                      self.on_questions("eval", *images, "--limit", "1", code=3).stderr)
        self.assertEqual(answers.read_bytes(), before)

    def test_answers_of_the_same_folder_trained_otherwise(self):
        self.evaluate("before")
        other = self.folder / "other" / "moe"
        trained = subprocess.run(train_arguments(PROGRAM, self.folder, other, "--learning_rate", "1e-2"),
                                 capture_output=True, text=True)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        refused = self.run_program("eval", "--model", other, "--questions", self.questions, "--image-folder",
                                   self.folder / "images", "--answers", self.folder / "before.jsonl", code=3)
        self.assertIn("settings: answers of another run", refused.stderr)

    def test_missing_pictures_are_all_named_first(self):
        questions = self.folder / "missing.jsonl"
        questions.write_text("".join(json.dumps(QUESTIONS[0] | {"image": image}) + "\n"
                                     for image in ("0.png", "no.png", "nope.png")))
        answers = self.folder / "none.jsonl"
        refused = self.run_program("eval", "--model", self.model, "--questions", questions, "--image-folder",
                                   self.folder / "images", "--answers", answers, code=3)
        self.assertIn("2 pictures are missing", refused.stderr)
        self.assertIn("no.png", refused.stderr)
        self.assertIn("nope.png", refused.stderr)
        self.assertFalse(answers.exists())

    def test_routing(self):
        out = self.folder / "routing"
        bars = self.on_questions("routing", "--image-folder", self.folder / "images", "--out", out).stdout
        self.assertEqual(len(bars.splitlines()), 2)  # the heads, and the one MoE layer
        svg = xml.etree.ElementTree.parse(out / "load.svg").getroot()
        tooltips = [node.text for node in svg.iter("{http://www.w3.org/2000/svg}title") if "expert" in node.text]
        self.assertEqual(len(tooltips), 3 * 3)  # panels, experts
        statistics = json.loads((out / "routing.json").read_text())
        self.assertEqual((statistics["prompts"], statistics["experts"], statistics["top_k"]), (4, 3, 2))
        layer = statistics["layers"][0]
        self.assertEqual(layer["image"]["tokens"], 3 * 4)
        for share in ("first_choice_share", "choice_share"):
            self.assertAlmostEqual(sum(layer["text"][share]), 1)
        rows = list(csv.DictReader((out / "load.csv").read_text().splitlines()))
        self.assertEqual(len(rows), 3 * 3)
        shares = [float(row["first_choice_share"]) for row in rows if row["tokens"] == "image"]
        for found, expected in zip(shares, layer["image"]["first_choice_share"]):
            self.assertAlmostEqual(found, expected, places=6)

    def test_routing_of_another_number_of_experts(self):
        out = self.folder / "routing_one"
        self.on_questions("routing", "--image-folder", self.folder / "images", "--out", out, "--top-k-experts", "1")
        self.assertEqual(json.loads((out / "routing.json").read_text())["top_k"], 1)
        self.on_questions("routing", "--image-folder", self.folder / "images", "--out", out, "--top-k-experts", "9",
                          code=2)

    def test_what_is_refused(self):
        images = ["--image-folder", self.folder / "images"]
        self.assertIn("questions.jsonl:1: image", self.on_questions("eval", code=2).stderr)
        self.assertIn("--questions: needed for this benchmark",
                      self.run_program("eval", "--model", self.model, "--task", "pope", code=2).stderr)
        self.assertIn("did you mean pope?", self.on_questions("eval", "--task", "pop", code=2).stderr)
        self.assertIn("--model: missing", self.run_program("eval", "--questions", self.questions, code=2).stderr)
        self.assertIn("--circular: this benchmark has no options",
                      self.on_questions("eval", "--circular", code=2).stderr)
        self.assertIn("--submission: this benchmark takes none",
                      self.on_questions("eval", "--submission", self.folder / "none.json", code=2).stderr)
        self.assertIn("--result: no such folder",
                      self.on_questions("eval", *images, "--result", "/nowhere/at/all.json", code=2).stderr)
        dense = self.run_program("routing", "--model", self.folder / "model", "--questions", self.questions, *images,
                                 "--out", self.folder / "none", code=2)
        self.assertIn("a dense model", dense.stderr)
        bad = self.folder / "bad.jsonl"
        bad.write_text('{"question_id": 1, "text": "a?", "answer": "b"}\n{"question_id": 2, "text": "a?"}\n')
        refused = self.run_program("eval", "--model", self.model, "--questions", bad, code=3)
        self.assertIn("bad.jsonl:2: answer: missing field", refused.stderr)
        bad.write_text(json.dumps(QUESTIONS[0] | {"image": "../moe/config.json"}) + "\n")
        refused = self.run_program("eval", "--model", self.model, "--questions", bad, *images, code=3)
        self.assertIn("bad.jsonl:1: image: not a path below the folder", refused.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

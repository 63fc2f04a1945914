#!/usr/bin/env python3
"""`moe-llava eval`, `compare` and `routing` from outside, on a tiny model that is trained first.
Usage: eval_command_test.py MOE_LLAVA"""
import csv
import json
import re
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree
import zipfile

from benchmark_folder import write_benchmarks
from tiny_case import TrainedModelCase
from train_tiny_folder import train_arguments

QUESTIONS = [
    {"question_id": 0, "image": "0.png", "text": "Is there a dog?", "category": "presence", "answer": "yes"},
    {"question_id": "b", "image": "1.png", "text": "Is there a cat?", "category": "presence", "answer": "no"},
    {"question_id": 2, "image": "0.png", "text": "How many?", "category": "count", "answer": "two"},
    {"question_id": 3, "text": "What is it?", "answer": "nothing"},
]


class EvalCommands(TrainedModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.benchmarks = cls.folder / "eval"
        write_benchmarks(cls.benchmarks)
        cls.questions = cls.folder / "questions.jsonl"
        cls.questions.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))

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
        table, pairs = self.run_program("compare", *files, "--labels", "MoE", "MoE, blind").stdout.split("\n\n")
        self.assertEqual({line.count("|") for line in table.splitlines()}, {4})
        self.assertRegex(pairs, r"MoE against MoE, blind: .* of 4 questions, p = .* \(McNemar, exact\)")
        self.assertIn("| MoE, blind |", table)
        self.assertIn("expected 2", self.run_program("compare", *files, "--labels", "one", code=2).stderr)

    def on_benchmark(self, task, *arguments, code=0):
        return self.run_program("eval", "--model", self.model, "--task", task, "--data", self.benchmarks,
                                "--threads", "1", "--max-new-tokens", "3", *arguments, code=code)

    def test_every_benchmark_that_is_scored_here(self):
        counts = {"pope": 6, "scienceqa": 2, "textvqa": 1, "gqa": 1, "mme": 2, "mmbench": 2, "mmbench_cn": 2,
                  "seed_bench": 1, "vqav2_val": 1}
        for task, questions in counts.items():
            with self.subTest(task):
                result, answers = self.folder / f"{task}.json", self.folder / f"{task}.jsonl"
                self.on_benchmark(task, "--result", result, "--answers", answers)
                written = json.loads(result.read_text())
                self.assertEqual((written["task"], written["overall"]["questions"]), (task, questions))
                self.assertEqual(written["speed"]["asked"], questions)
                self.assertGreater(written["speed"]["images_per_second"], 0)
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
        self.assertRegex(self.on_benchmark("llava_bench", "--answers", answers).stdout,
                         r"llava_bench +- +- +- +scored elsewhere +1 ")
        self.assertEqual(len(answers.read_text().splitlines()), 1)

    SEVERAL = {"pope": 6, "mme": 2, "vqav2": 1, "mmbench": 2}

    def run_several(self, out, *arguments, **options):
        return self.on_benchmark(",".join(self.SEVERAL), "--out", out, *arguments, **options)

    def test_several_benchmarks_in_one_command(self):
        out = self.folder / "several"
        table = self.run_several(out).stdout.splitlines()
        self.assertEqual([line.split()[0] for line in table[2:6]], list(self.SEVERAL))
        self.assertRegex(table[-1], "parameters .* active; pictures 16 px")
        report = json.loads((out / "report.json").read_text())["results"]
        self.assertEqual([result["task"] for result in report], list(self.SEVERAL))
        for result in report:
            task = result["task"]
            self.assertEqual(json.loads((out / f"results/{task}.json").read_text()), result)
            self.assertEqual(len((out / f"answers/{task}.jsonl").read_text().splitlines()), self.SEVERAL[task])
            if task == "vqav2":
                self.assertEqual((result["scored_elsewhere"], result.get("overall")), (1, None))
            else:
                low, high = result["published"]["confidence_95"]
                self.assertLessEqual(low, result["published"]["value"])
                self.assertLessEqual(result["published"]["value"], high)
        self.assertEqual(sorted(path.name for path in (out / "submissions").iterdir()), ["mmbench.xlsx", "vqav2.json"])
        with zipfile.ZipFile(out / "submissions/mmbench.xlsx") as upload:
            self.assertIsNone(upload.testzip())
            sheet = xml.etree.ElementTree.fromstring(upload.read("xl/worksheets/sheet1.xml"))
        cells = [["".join(cell.itertext()) for cell in row] for row in sheet.iter(
            "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}row")]
        self.assertEqual((cells[0][0], cells[0][6], cells[1][0], cells[2][1]), ("index", "prediction", "1", "What?"))
        page = (out / "report.md").read_text()
        for heading in ("# Evaluation of", "## pope", "## mme", "## mmbench"):
            self.assertIn(heading + "", page)
        # Nothing is asked again, and who is asked nothing is as fast as before.
        before = (out / "report.json").read_bytes()
        self.run_several(out)
        self.assertEqual((out / "report.json").read_bytes(), before)
        # The same answers, as if made elsewhere.
        scored = self.folder / "scored"
        self.run_program("eval", "--tasks", "pope,mme", "--data", self.benchmarks, "--predictions", out / "answers",
                         "--out", scored)
        again = json.loads((scored / "report.json").read_text())["results"]
        self.assertEqual([result["published"] for result in again], [result["published"] for result in report[:2]])
        pairs = self.run_program("compare", out, scored, "--published").stdout
        self.assertRegex(pairs, r"\| MoE-LLaVA-1.8B +\| +2.2 B \| +336 \| 87.0 \| 1291.6 \|")
        self.assertEqual(re.findall("^## (.*)", pairs, re.M), ["pope", "mme", "mmbench"])
        self.assertIn("better in 0, worse in 0 of 6 questions, p = 1", pairs)

    def test_a_killed_run_of_several_goes_on(self):
        def without_speed(out):
            report = json.loads((out / "report.json").read_text())["results"]
            for result in report:
                del result["speed"]
            return report
        whole, killed = self.folder / "several_whole", self.folder / "several_killed"
        self.run_several(whole)
        command = [self.program, "eval", "--model", self.model, "--tasks", ",".join(self.SEVERAL), "--data",
                   self.benchmarks, "--threads", "1", "--max-new-tokens", "3", "--out", killed]
        running = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        answers = killed / "answers/pope.jsonl"
        while running.poll() is None and not (answers.exists() and answers.read_text().count("\n") >= 2):
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.wait()
        self.run_several(killed)
        self.assertEqual(without_speed(killed), without_speed(whole))
        for task in self.SEVERAL:
            self.assertEqual((killed / f"answers/{task}.jsonl").read_bytes(),
                             (whole / f"answers/{task}.jsonl").read_bytes())

    def test_pictures_missing_from_several_benchmarks_are_named_together(self):
        broken = self.folder / "broken"
        write_benchmarks(broken)
        (broken / "pope/val2014/1.png").unlink()
        (broken / "MME/MME_Benchmark_release_version/OCR/1.png").unlink()
        out = self.folder / "none"
        refused = self.run_program("eval", "--model", self.model, "--tasks", "pope,mme", "--data", broken, "--out", out,
                                   code=3).stderr
        self.assertIn("2 pictures: missing: found no", refused)
        self.assertRegex(refused, r"pope/val2014/1.png \(.*llava_pope_test.jsonl:2\), .*OCR/1.png \(.*llava_mme.jsonl:1\)")
        self.assertFalse((out / "answers/pope.jsonl").exists())

    def test_flags_that_do_not_go_together(self):
        for arguments, expected in (
                (["--tasks", "pope,mme", "--answers", "a.jsonl"], "--answers: for one benchmark only"),
                (["--tasks", "pope,mme", "--questions", "q.jsonl"], "--questions: for one benchmark only"),
                (["--tasks", "pope", "--result", "a.json", "--out", "none"], "--result: for one benchmark only"),
                (["--tasks", "pope,pope"], "--tasks: a benchmark is named twice"),
                (["--tasks", "pope,mem"], "--tasks: no such benchmark")):
            refused = self.run_program("eval", "--model", self.model, "--data", self.benchmarks, *arguments, code=2)
            self.assertIn(expected, refused.stderr)
        refused = self.run_program("eval", "--model", self.model, "--task", "pope", "--data", self.benchmarks,
                                   "--annotations", self.folder / "nowhere", code=4)
        self.assertIn("nowhere: no such file or folder", refused.stderr)

    def test_circular_options(self):
        result = self.folder / "circular.json"
        self.on_benchmark("mmbench", "--circular", "--result", result)
        written = json.loads(result.read_text())
        self.assertEqual((written["speed"]["asked"], written["overall"]["questions"]), (3 + 2, 2))

    def test_a_killed_run_goes_on(self):
        questions = self.folder / "many.jsonl"
        questions.write_text("".join(json.dumps(QUESTIONS[0] | {"question_id": i, "text": f"Is it number {i}?"}) + "\n"
                                     for i in range(60)))
        answers = self.folder / "killed.jsonl"
        command = ["eval", "--model", self.model, "--questions", questions, "--image-folder",
                   self.folder / "images", "--threads", "1", "--answers"]
        running = subprocess.Popen([self.program, *map(str, command), answers], stderr=subprocess.DEVNULL,
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
        self.assertLess(scores["killed"].pop("speed")["asked"], 60)
        self.assertEqual(scores["whole"].pop("speed")["asked"], 60)
        self.assertEqual(scores["killed"], scores["whole"])

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
        trained = subprocess.run(train_arguments(self.program, self.folder, other, "--learning_rate", "1e-2"),
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
        self.assertIn("2 pictures: missing: found no", refused.stderr)
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
    TrainedModelCase.program = sys.argv.pop(1)
    unittest.main()

#!/usr/bin/env python3
"""Answers made elsewhere, scored by `moe-llava eval --predictions`: what the official scripts print for them.
Usage: eval_goldens_test.py MOE_LLAVA [FOLDER]   FOLDER has pope, sqa, textvqa, gqa, vqa and vqav2 (default: our own)"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, GOLDEN = None, pathlib.Path(__file__).resolve().parent / "golden/eval"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


class Goldens(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def run_eval(self, task, predictions, *arguments):
        done = subprocess.run([PROGRAM, "eval", "--task", task, "--predictions", predictions, *arguments],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def scored(self, task, predictions, *arguments):
        self.run_eval(task, predictions, *arguments, "--result", self.folder / "result.json")
        return read_json(self.folder / "result.json")

    def submission(self, task, predictions, *arguments):
        self.run_eval(task, predictions, *arguments, "--submission", self.folder / "submission")
        return (self.folder / "submission").read_bytes()

    def test_pope(self):
        folder = GOLDEN / "pope"
        result = self.scored("pope", folder / "answers.jsonl", "--questions", folder / "questions.jsonl",
                             "--annotations", folder / "annotations")
        expected = read_json(folder / "expected.json")["scores"]
        for category, figures in expected.items():
            for name, value in figures.items():
                self.assertEqual(result["figures"][category][name], value, f"{category} {name}")
        f1 = [figures["f1"] for figures in expected.values()]
        self.assertAlmostEqual(result["published"]["value"], 100 * sum(f1) / len(f1), places=10)

    def test_pope_decisions(self):
        """Each text alone, against a label of yes: right where the official script decides for yes."""
        decisions = read_json(GOLDEN / "pope/expected.json")["decisions"]
        (self.folder / "q.jsonl").write_text("".join(
            json.dumps({"question_id": i, "text": "?", "category": "random"}) + "\n" for i in range(len(decisions))))
        (self.folder / "coco_pope_random.json").write_text((json.dumps({"label": "yes"}) + "\n") * len(decisions))
        answers = self.folder / "a.jsonl"
        answers.write_text("".join(json.dumps({"question_id": i, "text": item["text"]}) + "\n"
                                   for i, item in enumerate(decisions)), encoding="utf-8")
        result = self.scored("pope", answers, "--questions", self.folder / "q.jsonl", "--annotations", self.folder)
        for i, item in enumerate(decisions):
            self.assertEqual(result["graded"][str(i)], item["decision"] == "yes", item["text"])

    def test_science_qa(self):
        folder = GOLDEN / "sqa"
        result = self.scored("scienceqa", folder / "answers.jsonl", "--annotations", folder)
        total, correct, accuracy, pictured = re.fullmatch(
            r"Total: (\d+), Correct: (\d+), Accuracy: ([\d.]+)%, IMG-Accuracy: ([\d.]+)%\s*",
            read_json(folder / "expected.json")["stdout"].strip().splitlines()[-1]).groups()
        self.assertEqual((result["overall"]["questions"], result["overall"]["correct"]), (int(total), int(correct)))
        self.assertEqual(f"{100 * result['overall']['accuracy']:.2f}", accuracy)
        self.assertEqual(f"{result['published']['value']:.2f}", pictured)
        self.assertEqual(result["overall"]["correct"] / result["overall"]["questions"] * 100,
                         read_json(folder / "expected_result.json")["acc"])
        right = {entry["question_id"] for entry in read_json(folder / "expected_output.json")["correct"]}
        self.assertEqual({key for key, score in result["graded"].items() if score == 1}, right)

    def test_text_vqa(self):
        folder = GOLDEN / "textvqa"
        result = self.scored("textvqa", folder / "answers.jsonl", "--annotations", folder / "annotations.json")
        expected = read_json(folder / "expected.json")
        self.assertEqual(result["overall"]["accuracy"], expected["accuracy"])
        for sample in expected["per_sample"]:
            self.assertEqual(result["graded"][f"{sample['image_id']}: {sample['question_from_prompt']}"], sample["score"])

    def test_gqa(self):
        folder = GOLDEN / "gqa"
        questions = ["--questions", folder / "testdev_balanced_questions.json"]
        figures = self.scored("gqa", folder / "merge.jsonl", *questions)["figures"]
        printed = read_json(folder / "expected.json")["stdout"]
        for name in ("Binary", "Open", "Accuracy"):
            self.assertEqual(re.search(f"^{name}: (.*)%$", printed, re.M)[1], f"{figures['overview'][name.lower()]:.2f}")
        self.assertEqual(re.search("^Distribution: ([0-9.]+)", printed, re.M)[1],
                         f"{figures['overview']['distribution']:.2f}")
        for group in ("structural type", "semantic type", "steps number", "words number"):
            lines = re.search(f"Accuracy / {group}:\n((?:  .*\n)+)", printed)[1].splitlines()
            self.assertEqual({line.split(": ")[0].strip(): re.search("([0-9.]+)%", line)[1] for line in lines},
                             {name: f"{value:.2f}" for name, value in figures[group].items()})
        self.assertEqual(self.submission("gqa", folder / "merge.jsonl", *questions),
                         (folder / "testdev_balanced_predictions.json").read_bytes())

    def test_vqav2(self):
        folder = GOLDEN / "vqav2"
        self.assertEqual(self.submission("vqav2", folder / "answers/test-dev/ck/merge.jsonl", "--annotations",
                                         folder / "llava_vqav2_mscoco_test2015.jsonl"),
                         (folder / "answers_upload/test-dev/ck.json").read_bytes())

    def test_vqa_normaliser(self):
        """Through the submission, whose answers are normalised."""
        pairs = read_json(GOLDEN / "vqa/answer_processing.json")
        ids, answers = self.folder / "ids.jsonl", self.folder / "a.jsonl"
        ids.write_text("".join(json.dumps({"question_id": i}) + "\n" for i in range(len(pairs))))
        answers.write_text("".join(json.dumps({"question_id": i, "text": pair["input"]}) + "\n"
                                   for i, pair in enumerate(pairs)), encoding="utf-8")
        submitted = json.loads(self.submission("vqav2", answers, "--annotations", ids))
        for entry, pair in zip(submitted, pairs, strict=True):
            self.assertEqual(entry["answer"], pair["output"], repr(pair["input"]))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        GOLDEN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

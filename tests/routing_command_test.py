#!/usr/bin/env python3
"""`moe-llava routing`, the traces of `eval` and `chat`, and what-ifs about experts, on a tiny model that is trained
first. Usage: routing_command_test.py MOE_LLAVA"""
import collections
import csv
import json
import sys
import unittest
import xml.etree.ElementTree

from tiny_case import TrainedModelCase
from trace_file import read_trace

PRESENCE = [{"question_id": i, "image": f"{i % 2}.png", "text": f"Is there a {thing}?", "category": "presence",
             "answer": ("yes", "no")[i % 2]} for i, thing in enumerate(("dog", "cat", "cow"))]
COUNT = [{"question_id": "b", "image": "1.png", "text": "How many?", "category": "count", "answer": "two"},
         {"question_id": 4, "text": "What is it?", "answer": "nothing"}]
PATCHES, EXPERTS, TOP_K = 4, 3, 2  # of the tiny model; its one MoE layer is the first


class RoutingCommand(TrainedModelCase):
    runs = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, questions in (("presence", PRESENCE), ("count", COUNT)):
            (cls.folder / f"{name}.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))

    def ask(self, command, *arguments, data=("presence", "count"), code=0):
        files = [word for name in data for word in ("--questions", self.folder / f"{name}.jsonl")]
        return self.run_program(command, "--model", self.model, *files, "--image-folder", self.folder / "images",
                                "--threads", "1", *arguments, code=code)

    def routing(self, name, *arguments, data=("presence", "count")):
        """The folder of a run, which tests that ask for the same share."""
        key = (arguments, tuple(data))
        if key not in self.runs:
            out = self.folder / name
            self.ask("routing", "--out", out, "--pictures", "1", *arguments, data=data)
            self.runs[key] = out
        return self.runs[key]

    def test_trace_holds_every_token(self):
        out = self.routing("whole")
        tensors, model, samples = read_trace(out / "trace.safetensors")
        self.assertEqual((model["name"], model["layers"], model["experts"], model["top_k"]),
                         ("moe", [0], [EXPERTS], TOP_K))
        self.assertEqual(model["picture"]["size"], 16)
        # Questions about one picture are asked in a row.
        self.assertEqual([(s["id"], s["source"], s["category"], s["images"]) for s in samples],
                         [("0", "presence", "presence", ["0.png"]), ("2", "presence", "presence", ["0.png"]),
                          ("1", "presence", "presence", ["1.png"]), ("b", "count", "count", ["1.png"]),
                          ("4", "count", "", [])])
        shape, sample = tensors["token_sample"]
        tokens = shape[0]
        self.assertEqual(tensors["routed_experts"][0], [tokens, 1, TOP_K])
        self.assertEqual(tensors["router_probabilities"][0], [tokens, 1, EXPERTS])
        patches = collections.Counter(s for s, p in zip(sample, tensors["token_patch"][1]) if p >= 0)
        self.assertEqual(patches, {0: PATCHES, 1: PATCHES, 2: PATCHES, 3: PATCHES})
        for t in range(tokens):
            weights = tensors["routed_weights"][1][t * TOP_K:(t + 1) * TOP_K]
            dropped = tensors["dropped"][1][t * TOP_K:(t + 1) * TOP_K]
            self.assertAlmostEqual(sum(weights), 0 if all(dropped) else 1, places=5)
            self.assertAlmostEqual(sum(tensors["router_probabilities"][1][t * EXPERTS:(t + 1) * EXPERTS]), 1,
                                   places=5)
        # The words of the tokens put together are the question, in the model's style, and its answer.
        words, begin = {}, 0
        for number, end in zip(tensors["vocabulary_id"][1], tensors["vocabulary_end"][1]):
            words[number] = bytes(tensors["vocabulary_bytes"][1][begin:end])
            begin = end
        text = b"".join(words.get(i, b"") for i, s in zip(tensors["token_id"][1], sample) if s == 4)
        self.assertIn(b"What is it?", text)
        self.assertIn(1, tensors["token_answer"][1])

    def test_statistics_are_those_of_the_trace(self):
        out = self.routing("whole")
        tensors, _, _ = read_trace(out / "trace.safetensors")
        first = [(image, tensors["routed_experts"][1][t * TOP_K])
                 for t, image in enumerate(tensors["token_modality"][1])]
        rows = list(csv.DictReader((out / "load.csv").read_text().splitlines()))
        self.assertEqual(len(rows), 3 * EXPERTS)
        for row in rows:
            group = [e for image, e in first if row["tokens"] == "all" or image == (row["tokens"] == "image")]
            self.assertAlmostEqual(float(row["first_choice_share"]),
                                   group.count(int(row["expert"]) - 1) / len(group), places=5)
        statistics = json.loads((out / "routing.json").read_text())
        self.assertEqual((statistics["prompts"], statistics["tokens"]), (5, len(first)))
        self.assertEqual([group["name"] for group in statistics["sources"]], ["presence", "count"])
        self.assertEqual([group["name"] for group in statistics["categories"]],
                         ["presence: presence", "count: count", "count"])
        for name in ("groups", "co_activation", "pathways"):
            self.assertGreater(len(list(csv.DictReader((out / f"{name}.csv").read_text().splitlines()))), 2)

    def test_from_traces_it_says_the_same(self):
        whole = self.routing("whole")
        parts = [self.routing(name, data=[name]) / "trace.safetensors" for name in ("presence", "count")]
        out = self.folder / "joined"
        self.run_program("routing", "--from-trace", parts[0], "--from-trace", parts[1], "--pictures", "3",
                         "--image-folder", self.folder / "images", "--out", out)
        for name in ("load.csv", "groups.csv", "pathways.csv", "routing.json"):
            self.assertEqual((out / name).read_text(), (whole / name).read_text(), name)

    def test_pictures(self):
        out = self.routing("whole")
        self.assertEqual(sorted(path.name for path in out.iterdir()), sorted(
            [f"{name}.{kind}" for name in ("load", "modalities", "depth", "pathways", "paths", "co_activation",
                                           "positions", "benchmarks", "categories") for kind in ("svg", "png")] +
            ["load.csv", "groups.csv", "co_activation.csv", "pathways.csv", "routing.json", "routing.html",
             "trace.safetensors", "questions"]))
        self.assertEqual(sorted(path.name for path in (out / "questions").iterdir()), ["1.png", "1.svg"])
        sheet = xml.etree.ElementTree.parse(out / "questions/1.svg").getroot()
        self.assertEqual(len(list(sheet.iter("{http://www.w3.org/2000/svg}image"))), 1)  # a picture in its one layer
        self.assertEqual(len(list(sheet.iter("{http://www.w3.org/2000/svg}polygon"))), PATCHES)
        for path in out.rglob("*.png"):
            self.assertEqual(path.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_eval_and_chat_write_traces(self):
        answers, trace = self.folder / "answers.jsonl", self.folder / "eval.safetensors"
        self.ask("eval", "--answers", answers, "--trace", trace, data=["presence"])
        tensors, _, samples = read_trace(trace)
        self.assertEqual({s["source"] for s in samples}, {"presence"})
        self.assertEqual(tensors["routed_experts"][1],
                         read_trace(self.routing("same", data=["presence"]) / "trace.safetensors")[0]
                         ["routed_experts"][1])
        refused = self.ask("eval", "--answers", answers, "--trace", trace, data=["presence"], code=2)
        self.assertIn("--trace: an earlier run has answered some of the questions", refused.stderr)
        chat = self.folder / "chat.safetensors"
        picture = self.folder / "images/0.png"
        self.run_program("chat", "--model", self.model, "--image", picture, "--prompt", "Is there a dog?",
                         "--max-new-tokens", "3", "--trace", chat)
        tensors, _, samples = read_trace(chat)
        self.assertEqual([s["images"] for s in samples], [[str(picture)]])
        self.assertEqual(sum(tensors["token_modality"][1]), PATCHES)

    def test_a_masked_expert_gets_no_token(self):
        for sampling in ([], ["--router-sampling", "gumbel"]):
            with self.subTest(sampling):
                statistics = {}
                for name, masks in (("before", []), ("masked", ["--mask-expert", "1:2"])):
                    out = self.routing(name + "_".join(sampling), *masks, *sampling)
                    statistics[name] = json.loads((out / "routing.json").read_text())["layers"][0]["all"]
                self.assertGreater(statistics["before"]["choice_share"][1], 0)
                self.assertEqual(statistics["masked"]["choice_share"][1], 0)
                self.assertAlmostEqual(sum(statistics["masked"]["choice_share"]), 1)

    def test_answers_of_what_ifs_are_told_apart(self):
        for name, flags in (("plain", []), ("masked", ["--mask-expert", "1:1"]),
                            ("swapped", ["--swap-experts", "1:1:3"]), ("one", ["--top-k-experts", "1"])):
            file = self.folder / f"what_if_{name}.jsonl"
            self.ask("eval", "--answers", file, *flags, data=["presence"])
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            settings = lines[0]["metadata"]["settings"]
            self.assertEqual("mask_expert 1:1" in settings, name == "masked")
            self.assertEqual("swap_experts 1:1:3" in settings, name == "swapped")
        refused = self.ask("eval", "--answers", self.folder / "what_if_masked.jsonl", data=["presence"], code=3)
        self.assertIn("settings: answers of another run", refused.stderr)

    def test_swapping_twice_changes_nothing(self):
        twice = self.routing("twice", "--swap-experts", "1:1:3", "--swap-experts", "1:3:1")
        self.assertEqual((twice / "trace.safetensors").read_bytes(),
                         (self.routing("whole") / "trace.safetensors").read_bytes())

    def test_what_is_refused(self):
        out = self.folder / "none"
        self.assertIn("--mask-expert: too few experts are left in layer 1",
                      self.ask("routing", "--out", out, *(w for e in "123" for w in ("--mask-expert", f"1:{e}")),
                               code=2).stderr)
        self.assertIn("--swap-experts: a layer without experts: found 2, expected one of 1",
                      self.ask("eval", "--swap-experts", "2:1:2", data=["presence"], code=2).stderr)
        dense = self.run_program("chat", "--model", self.folder / "model", "--prompt", "a", "--mask-expert", "1:1",
                                 code=2)
        self.assertIn("--mask-expert: a dense model has no routers", dense.stderr)
        dense = self.run_program("chat", "--model", self.folder / "model", "--prompt", "a", "--trace",
                                 self.folder / "none.safetensors", code=2)
        self.assertIn("a dense model, it has no routers", dense.stderr)
        self.assertIn("--model: missing", self.run_program("routing", "--out", out, code=2).stderr)
        self.assertIn("--data: missing", self.run_program("routing", "--model", self.model, "--out", out,
                                                          code=2).stderr)
        self.run_program("routing", "--model", self.model, "--from-trace", "x", "--out", out, code=2)
        bad = self.folder / "bad.safetensors"
        bad.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
        refused = self.run_program("routing", "--from-trace", bad, "--out", out, code=3)
        self.assertIn("bad.safetensors: __metadata__: format: missing", refused.stderr)
        lines = self.folder / "lines.jsonl"
        for text, message in (('{"question_id": 1, "text": "a?"}\n{"question_id": 2, "text": 7}\n',
                               "lines.jsonl:2: text: wrong type"),
                              ('{"question_id": 1}\n', "lines.jsonl:1: text: missing field"),
                              ('{"question_id": 1, "text": "a?"}\n{"quest\n', "lines.jsonl:2: not valid JSON")):
            lines.write_text(text)
            refused = self.run_program("routing", "--model", self.model, "--data", lines, "--out", out, code=3)
            self.assertIn(message, refused.stderr)

    def test_missing_pictures_are_all_listed(self):
        questions = self.folder / "missing.jsonl"
        questions.write_text("".join(json.dumps(PRESENCE[0] | {"image": image}) + "\n"
                                     for image in ("no.png", "0.png", "nope.png")))
        refused = self.ask("routing", "--out", self.folder / "none", data=["presence", "missing"], code=3)
        self.assertIn("2 pictures: missing", refused.stderr)
        self.assertIn("no.png (", refused.stderr)
        self.assertIn("nope.png (", refused.stderr)
        refused = self.run_program("routing", "--from-trace", self.routing("whole") / "trace.safetensors",
                                   "--image-folder", self.folder, "--out", self.folder / "none", code=3)
        self.assertIn("--image-folder: 2 pictures are missing: found no 0.png, 1.png", refused.stderr)


if __name__ == "__main__":
    TrainedModelCase.program = sys.argv.pop(1)
    unittest.main()

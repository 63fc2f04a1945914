#!/usr/bin/env python3
"""`moe-llava data check`, and what training does with the same bad data.   Usage: data_command_test.py MOE_LLAVA"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from train_tiny_folder import train_arguments, write_all

PROGRAM = None


def record(name, question="Q?", answer="A.", **fields):
    return {"id": name, **fields, "conversations": [{"from": "human", "value": question},
                                                    {"from": "gpt", "value": answer}]}


# What is wrong with each, as the message has it.
BAD = [
    (record("missing picture", "<image>", image="none.png"), "no such file"),
    (record("no picture", "<image>", image="text.png"), "text.png"),
    (record("cut picture", "<image>", image="cut.png"), "cut.png"),
    (record("outside", "<image>", image="../model/config.json"), "not a path below the folder"),
    (record("too many markers", "<image><image>", image="0.png"), "found 2 <image> but 1 image"),
    (record("too few markers", image=["0.png", "1.png"]), "found 0 <image> but 2 images"),
    (record("marker in an answer", "<image>", "<image>", image="0.png"), "<image> in an answer"),
    ({"id": "unknown speaker", "conversations": [{"from": "bing", "value": "Q"}]}, 'unknown speaker: found "bing"'),
    ({"id": "empty", "conversations": []}, "no token to train on"),
    ({"id": "no conversations"}, "conversations: missing field"),
    ({"id": "no answer", "conversations": [{"from": "human", "value": "Q"}]}, "no token to train on"),
    ({"id": "null", "conversations": [{"from": "human", "value": None}]}, "value: missing field"),
    ({"id": "twice", "conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]},
     "the same speaker twice in a row"),
    (record("video", video="v.mp4"), "video is not supported"),
    ("not an object", "not a JSON object"),
]


class DataCommand(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        write_all(self.folder)
        self.good = json.loads((self.folder / "data.json").read_text())
        (self.folder / "images/text.png").write_text("pixels")
        (self.folder / "images/cut.png").write_bytes((self.folder / "images/0.png").read_bytes()[:-30])

    def check(self, *files, code, extra=()):
        done = subprocess.run([PROGRAM, "data", "check", "--data_path", *files, "--image_folder", self.folder / "images",
                               *extra], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def train(self, data, *extra):
        arguments = train_arguments(PROGRAM, self.folder, self.folder / "out", "--max_steps", "6",
                                    "--overwrite_output_dir", "True", *extra)
        arguments[arguments.index(str(self.folder / "data.json"))] = str(data)
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    def write_bad(self, lines):
        """Good and bad records take turns."""
        mixed = [each for good, (bad, _) in zip(self.good, BAD) for each in (good, bad)]
        path = self.folder / ("bad.jsonl" if lines else "bad.json")
        texts = [json.dumps(each) for each in mixed]
        path.write_text("\n".join(texts) + "\n" if lines else "[" + ",\n".join(texts) + "]")
        return path

    def test_good_data(self):
        done = self.check(self.folder / "data.json", code=0, extra=["--model", self.folder / "model"])
        self.assertEqual(done.stdout, "40 good samples, 10 pictures, 0 bad records, 0 warnings\n")

    def test_every_bad_record_is_named(self):
        for lines in (False, True):
            for model in ((), ("--model", self.folder / "model")):
                path = self.write_bad(lines)
                done = self.check(path, code=3, extra=model)
                told = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
                self.assertEqual(len(told), len(BAD), done.stdout)
                for i, (bad, what) in enumerate(BAD):
                    name = json.dumps(bad["id"]) if isinstance(bad, dict) else f'"{2 * i + 1}"'
                    where = f"{path}: line {2 * i + 2}, record {2 * i + 1}, id {name}"
                    self.assertTrue(any(where in line and what in line for line in told), f"{where} {what}\n{done.stdout}")
                self.assertIn(f"{len(BAD)} good samples", done.stdout)

    def test_json_for_programs(self):
        path = self.write_bad(lines=True)
        found = json.loads(self.check(path, code=3, extra=["--json"]).stdout)
        self.assertEqual((found["bad"], found["samples"], found["warnings"]), (len(BAD), len(BAD), 0))
        self.assertEqual({problem["id"] for problem in found["problems"]},
                         {bad["id"] for bad, _ in BAD if isinstance(bad, dict)} | {str(2 * len(BAD) - 1)})
        for problem in found["problems"]:
            self.assertEqual(problem["line"], problem["record"] + 1)
            self.assertEqual(problem["file"], str(path))

    def test_warnings_do_not_fail(self):
        path = self.folder / "long.json"
        path.write_text(json.dumps([record("a"), record("a", answer="word " * 200)]))
        done = self.check(path, code=0, extra=["--model", self.folder / "model", "--model_max_length", "300"])
        self.assertIn("is cut: found", done.stdout)
        self.assertIn("has the id of", done.stdout)
        self.assertIn("2 good samples, 0 pictures, 0 bad records, 2 warnings", done.stdout)

    def test_broken_files(self):
        for text, what in (("", "empty file"), ("[]", "an empty list"), ("[{}", "the list does not end"),
                           ('[{"id": 1}, {"id": "x]', "does not end"), ("\xef\xbb\xbf[]", "neither a JSON list"),
                           ("\ufeff[]", "byte order mark"), ("<html>", "neither a JSON list"),
                           ('{"a": 1', "not valid JSON")):
            path = self.folder / "broken.json"
            path.write_text(text, encoding="utf-8")
            self.assertIn(what, self.check(path, code=3).stdout)
        self.check(self.folder / "nowhere.json", code=4)

    def test_pictures_need_a_folder(self):
        done = subprocess.run([PROGRAM, "data", "check", "--data_path", self.folder / "data.json"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--image_folder", done.stderr)

    def test_training_stops_or_leaves_out_as_many_as_allowed(self):
        path = self.write_bad(lines=True)
        done = self.train(path)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("line 10, record 9", done.stderr)  # the first that its own words make bad
        done = self.train(path, "--skip_bad_samples", str(len(BAD) - 1))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"(more than --skip_bad_samples {len(BAD) - 1})", done.stderr)
        for cache in ("none", str(self.folder / "features")):
            done = self.train(path, "--skip_bad_samples", str(len(BAD)), "--feature_cache", cache)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr.count("left out: "), len(BAD))
            self.assertIn(f"{len(BAD)} bad samples are left out", done.stderr)
            weights = (self.folder / "out/model.safetensors").read_bytes()
        # As if they had never been there: nothing stands in for them.
        clean = self.folder / "clean.jsonl"
        clean.write_text("".join(json.dumps(good) + "\n" for good in self.good[:len(BAD)]))
        done = self.train(clean)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "out/model.safetensors").read_bytes(), weights)

    def test_a_missing_folder_is_told_before_the_model_is_read(self):
        done = self.train(self.folder / "data.json", "--image_folder", str(self.folder / "nowhere"),
                          "--model_name_or_path", str(self.folder / "no-model"))
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("--image_folder: no such folder", done.stderr)

    def test_the_way_of_the_features_does_not_change_the_weights(self):
        weights = set()
        cache = self.folder / "features"
        for way, threads in (("none", "1"), (cache, "2"), (cache, "1"), ("none", "2")):
            done = self.train(self.folder / "data.json", "--feature_cache", str(way), "--stage", "3", "--threads", threads,
                              "--learning_rate", "1e-3")
            self.assertEqual(done.returncode, 0, done.stderr)
            weights.add((threads, (self.folder / "out/model.safetensors").read_bytes()))
            self.assertEqual("to compute" in done.stderr, (way, threads) == (cache, "2"), done.stderr)
        self.assertEqual(len(weights), 2)  # one for each number of threads at most
        self.assertTrue(any(cache.rglob("*")))

    def test_modalities_apart(self):
        done = self.train(self.folder / "data.json", "--group_by_modality_length", "True", "--max_steps", "14")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

#!/usr/bin/env python3
"""`moe-llava make-random`, and what can be done with such a folder: inspect, chat, bench.
Usage: random_model_test.py MOE_LLAVA"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None
PICTURE = pathlib.Path(__file__).resolve().parent / "golden/image/img0.png"


class RandomModel(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name) / "model"

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_from_making_to_measuring(self):
        self.run_program("make-random", self.folder, "--like", "qwen-1.8b-4e", "--tiny")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()),
                         ["config.json", "model.safetensors", "preprocessor_config.json", "special_tokens_map.json",
                          "tokenizer.json", "tokenizer_config.json"])
        seen = json.loads(self.run_program("inspect", self.folder, "--check", "--json").stdout)
        self.assertEqual((seen["loads"], list(seen["dtypes"])), (True, ["BF16"]))
        self.run_program("chat", "--model", self.folder, "--image", PICTURE, "--prompt", "What is it?",
                         "--max-new-tokens", "4")
        found = json.loads(self.run_program("bench", "--model", self.folder, "--prompt-tokens", "8",
                                            "--write-tokens", "3", "--json").stdout)
        self.assertEqual(found["prompt_positions"], 8 + 16)
        self.assertGreater(found["written_tokens"], 0)
        for share in ("prompt_share_of_float32", "write_share_of_bandwidth"):
            self.assertGreater(found[share], 0)
        again = self.run_program("make-random", self.folder, "--tiny", code=4)
        self.assertIn("already there", again.stderr)

    def test_unknown_names_are_told_what_is_known(self):
        refused = self.run_program("make-random", self.folder, "--like", "gpt-5", code=2)
        self.assertIn("phi2-2.7b-4e-384", refused.stderr)
        self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

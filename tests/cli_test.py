#!/usr/bin/env python3
"""The program from outside: help, exit codes, the form of errors, tokenize and chat.   Usage: cli_test.py MOE_LLAVA"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
MODEL = GOLDEN / "phi/ckpt"
TOWER = GOLDEN / "clip_tiny"
PROGRAM = None


def run(*arguments, stdin=""):
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, text=True)


class Cli(unittest.TestCase):
    def assert_refused(self, result, code, *parts):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr.startswith("error: "), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_help_goes_to_stdout_with_examples(self):
        for command in ([], ["chat"], ["train"], ["dump"], ["tokenize"], ["eval"], ["routing"]):
            result = run(*command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn("Examples:", result.stdout)
            self.assertEqual(result.stderr, "")
        self.assertRegex(run("--version").stdout, r"^\d+\.\d+\.\d+")

    def test_usage_errors(self):
        self.assert_refused(run("chta"), 2, 'unknown command "chta"', "did you mean chat?")
        self.assert_refused(run("chat", "--model", MODEL, "--imagee", "x"), 2, "--imagee", "did you mean --image?")
        self.assert_refused(run("train", "--lerning-rate", "1"), 2, "did you mean --learning_rate?")
        self.assert_refused(run("chat"), 2, "--model")
        self.assert_refused(run("chat", "--model", MODEL, "--temperature", "hot"), 2, "--temperature")
        self.assert_refused(run("chat", "--model", MODEL, "--max-new-tokens", "0"), 2, "--max-new-tokens")
        self.assert_refused(run("dump", "--model", MODEL, "--out", "/tmp"), 2, "--ids", "--prompt")
        self.assert_refused(run("chat", "--model", MODEL, "--prompt", "Hi", "--device", "gpu"), 2,
                            '--device: unknown device: found "gpu"')

    def test_bad_models_and_pictures(self):
        self.assert_refused(run("chat", "--model", "/nonexistent", "--prompt", "x"), 4, "/nonexistent", "no such file")
        with tempfile.TemporaryDirectory() as empty:
            self.assert_refused(run("chat", "--model", empty, "--prompt", "x"), 4, "config.json")
            broken = pathlib.Path(empty) / "broken.png"
            broken.write_bytes((GOLDEN / "image/img0.png").read_bytes()[:500])
            base = ["chat", "--model", MODEL, "--vision-tower", TOWER, "--prompt", "x", "--image"]
            self.assert_refused(run(*base, broken), 3, "broken.png", "truncated")
            self.assert_refused(run(*base, MODEL / "config.json"), 3, "config.json")

    def test_tokenize_there_and_back(self):
        text = "Hello  wörld <|endoftext|>"
        ids = json.loads(run("tokenize", "--model", MODEL, stdin=text).stdout)
        self.assertEqual(run("tokenize", "--model", MODEL, "--decode", stdin=json.dumps(ids)).stdout, text)
        plain = json.loads(run("tokenize", "--model", MODEL, "--no-special", stdin=text).stdout)
        self.assertGreater(len(plain), len(ids))
        many = run("tokenize", "--model", MODEL, "--jsonl", stdin=json.dumps(text) + '\n""\n"a\\nb"\n').stdout
        self.assertEqual([json.loads(line) for line in many.splitlines()][:2], [ids, []])
        back = run("tokenize", "--model", MODEL, "--jsonl", "--decode", stdin=many).stdout
        self.assertEqual([json.loads(line) for line in back.splitlines()], [text, "", "a\nb"])
        self.assert_refused(run("tokenize", "--model", MODEL, "--jsonl", stdin="5\n"), 3, "not a JSON string")
        self.assert_refused(run("tokenize", "--model", MODEL, "--decode", stdin="[1, 999999]"), 3, "999999")
        self.assert_refused(run("tokenize", "--model", MODEL, "--decode", stdin="[1,"), 3, "not valid JSON")

    def test_chat_answers_and_repeats_itself(self):
        base = ["chat", "--model", MODEL, "--vision-tower", TOWER, "--image", GOLDEN / "image/img0.png",
                "--max-new-tokens", "8"]
        first = run(*base, "--prompt", "What is shown in this image?")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertNotEqual(first.stdout.strip(), "")
        self.assertEqual(first.stdout, run(*base, "--prompt", "What is shown in this image?").stdout)
        sampled = [run(*base, "--prompt", "Hi", "--temperature", "1.5", "--seed", str(n)).stdout for n in (1, 1, 2)]
        self.assertEqual(sampled[0], sampled[1])
        self.assertNotEqual(sampled[0], sampled[2])

    def test_a_system_prompt_and_several_pictures(self):
        base = ["chat", "--model", MODEL, "--vision-tower", TOWER, "--max-new-tokens", "8", "--prompt"]
        pictures = ["--image", GOLDEN / "image/img0.png", "--image", GOLDEN / "image/img3.png"]
        answers = [run(*base, *arguments).stdout for arguments in (
            ["Compare them."], ["Compare them.", *pictures], ["Compare them.", *pictures[2:], *pictures[:2]],
            ["<image>\n<image>\nCompare them.", *pictures], ["Compare them.", *pictures, "--system", "Be brief."])]
        self.assertEqual(answers[1], answers[3])
        self.assertEqual(len(set(answers)), 4)

    def test_drawn_second_experts_repeat_with_their_seed(self):
        base = ["chat", "--model", MODEL, "--vision-tower", TOWER, "--max-new-tokens", "24", "--prompt",
                "What is shown?", "--image", GOLDEN / "image/img0.png", "--router-sampling"]
        drawn = [run(*base, "gumbel", "--seed", str(n)).stdout for n in (1, 1, 2, 3, 4)]
        self.assertNotEqual(drawn[0], "")
        self.assertEqual(drawn[0], drawn[1])
        self.assertGreater(len(set(drawn)), 1)
        self.assertEqual(run(*base, "top", "--seed", "1").stdout, run(*base, "top", "--seed", "2").stdout)
        self.assert_refused(run(*base, "random"), 2, "--router-sampling")

    def test_conversation_on_stdin(self):
        base = ["chat", "--model", MODEL, "--vision-tower", TOWER, "--max_new_tokens", "4", "--stats"]
        result = run(*base, stdin=f"/image {GOLDEN}/image/img0.png\nWhat?\nAnd now?\n/clear\nAgain?\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count("more from the cache"), 3)
        self.assertIn("(0 more from the cache", result.stderr)
        self.assertNotIn("error", result.stderr)
        helped = run(*base, stdin="/help\n/nonsense\n/quit\nHi\n")
        self.assertEqual((helped.returncode, helped.stdout), (0, ""))
        for command in ("/image FILE", "/clear", "/quit"):
            self.assertIn(command, helped.stderr)
        self.assertIn("error: /nonsense: unknown command (/help lists them)", helped.stderr)
        failed = run(*base, stdin="/image /nonexistent.png\nHi\n")
        self.assertEqual(failed.returncode, 0)
        self.assertIn("error: /nonexistent.png", failed.stderr)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

#!/usr/bin/env python3
"""`moe-llava eval` with a judge: a server on the loopback that says what OpenAI-compatible servers say, and what broken
ones do. Usage: judge_test.py MOE_LLAVA"""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from benchmark_folder import write_benchmarks, write_lines

PROGRAM = None


def reply(text):
    return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


class Judge:
    """Answers the requests in turn with (status, headers, body), the last again and again, and keeps what it was asked.
    A number in place of a reply is how many seconds it keeps silent before the next one."""

    def __init__(self, *replies):
        self.replies, self.asked, self.keys = list(replies), [], []
        judge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                judge.asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                judge.keys.append(self.headers.get("Authorization"))
                said = judge.replies[min(len(judge.asked), len(judge.replies)) - 1]
                if isinstance(said, (int, float)):
                    time.sleep(said)
                    return
                status, headers, body = said
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Judged(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        write_benchmarks(self.folder / "eval")
        self.predictions = self.folder / "predictions"
        for task in ("mm_vet", "llava_bench"):
            write_lines(self.predictions / f"{task}.jsonl",
                        [{"question_id": 0, "prompt": "Describe it.", "text": "a red square", "model_id": "m"}])

    def tearDown(self):
        self.temporary.cleanup()

    def evaluate(self, task, *arguments, code=0, key=None):
        environment = {**os.environ, "no_proxy": "127.0.0.1", **({"MOELLAVA_JUDGE_KEY": key} if key else {})}
        done = subprocess.run([PROGRAM, "eval", "--task", task, "--data", self.folder / "eval", "--predictions",
                               self.predictions / f"{task}.jsonl", *map(str, arguments)], capture_output=True, text=True,
                              env=environment, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def judged(self, task, judge, *arguments, **options):
        result = self.folder / "result.json"
        self.evaluate(task, "--judge-url", judge.url, "--judge-model", "judge-1", "--result", result, *arguments,
                      **options)
        return json.loads(result.read_text())

    def test_mm_vet(self):
        with Judge(reply("0.7")) as judge:
            result = self.judged("mm_vet", judge, key="secret")
        self.assertAlmostEqual(result["published"]["value"], 70)
        (path, body), = judge.asked
        self.assertEqual((path, body["model"], body["temperature"]), ("/v1/chat/completions", "judge-1", 0))
        self.assertIn("Describe it. | a cat <AND> a dog | a red square | ", body["messages"][-1]["content"])
        self.assertEqual(judge.keys, ["Bearer secret"])

    def test_llava_bench(self):
        prompt = self.folder / "prompt.txt"
        prompt.write_text("Two numbers, please.\n")
        with Judge(reply("8 6\nBecause.")) as judge:
            result = self.judged("llava_bench", judge, "--judge-prompt", prompt)
        self.assertAlmostEqual(result["published"]["value"], 75)
        self.assertEqual(judge.keys, [None])
        messages = judge.asked[0][1]["messages"]
        self.assertEqual([message["role"] for message in messages], ["system", "user"])
        self.assertTrue(messages[1]["content"].endswith("[System]\nTwo numbers, please.\n\n"))

    def test_what_passes_is_tried_again(self):
        with Judge((429, {"Retry-After": "1"}, "{}"), 1.5, (503, {}, "busy"), (200, {}, "not JSON"), reply("0.4")) as judge:
            begun = time.monotonic()
            result = self.judged("mm_vet", judge, "--judge-timeout", 1)
        self.assertAlmostEqual(result["published"]["value"], 40)
        self.assertEqual(len(judge.asked), 5)
        self.assertGreater(time.monotonic() - begun, 1 + 1)  # what Retry-After asks for, and the silence

    def test_verdicts_that_cannot_be_read_are_asked_for_again(self):
        with Judge(reply("I think"), reply("0.9")) as judge:
            result = self.judged("mm_vet", judge)
        self.assertAlmostEqual(result["published"]["value"], 90)
        self.assertEqual([body["temperature"] for _, body in judge.asked], [0, 0.5])
        with Judge(reply("I cannot say.")) as judge:
            result = self.judged("mm_vet", judge)
        self.assertEqual((result["published"]["value"], result["figures"]["judge"]["unjudged"]), (0, 1))
        self.assertEqual(len(judge.asked), 5)

    def test_verdicts_are_kept(self):
        kept = self.folder / "kept.jsonl"
        kept.write_text('{"task": "mm_vet", "question_id": 3, "verdict": "1"}\n{"task": "mm')  # a kill's half line
        with Judge(reply("0.3")) as judge:
            first = self.judged("mm_vet", judge, "--judge-answers", kept)
            again = self.judged("mm_vet", judge, "--judge-answers", kept)
            self.assertEqual(len(judge.asked), 1)
        self.assertEqual(first, again)
        lines = [json.loads(line) for line in kept.read_text().splitlines()]
        self.assertEqual([line["question_id"] for line in lines], [3, "0"])
        self.assertEqual((lines[1]["judge"], lines[1]["verdict"]), ("judge-1", "0.3"))
        # And need no server.
        result = self.folder / "offline.json"
        self.evaluate("mm_vet", "--judge-answers", kept, "--result", result)
        self.assertEqual(json.loads(result.read_text()), first)

    def test_what_is_hopeless(self):
        with Judge((401, {}, '{"error": "no such key"}')) as judge:
            refused = self.evaluate("mm_vet", "--judge-url", judge.url, "--judge-model", "m", code=3)
        self.assertIn('status 401: "{"error": "no such key"}"', refused.stderr)
        self.assertEqual(len(judge.asked), 1)
        self.assertIn("--judge-model: missing", self.evaluate("mm_vet", "--judge-url", "http://127.0.0.1:1", code=2).stderr)
        self.assertIn("--judge-url: not an address",
                      self.evaluate("mm_vet", "--judge-url", "127.0.0.1", "--judge-model", "m", code=2).stderr)
        self.assertIn("--result: this benchmark is not scored here",
                      self.evaluate("mm_vet", "--result", self.folder / "none.json", code=2).stderr)
        write_lines(self.predictions / "pope.jsonl", [{"question_id": 0, "text": "yes"}])
        self.assertIn("--judge-url: this benchmark has no judge",
                      self.evaluate("pope", "--judge-url", "http://127.0.0.1:1", "--judge-model", "m", code=2).stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

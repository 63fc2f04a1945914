#!/usr/bin/env python3
"""`moe-llava dump` against reference numbers of tiny models: ids, pictures, router, experts, logits, greedy ids; those
of the original MoE-LLaVA code, with dropping and with recorded noise, and those that tools/dump_reference.py had from
transformers for the families that the original can no longer run.   Usage: dump_test.py MOE_LLAVA"""
import array
import ast
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
PHI = GOLDEN / "phi"
FAMILIES = [GOLDEN / name for name in ("phi", "qwen", "stablelm", "llama")]
CLIP = GOLDEN / "clip_tiny"
PROGRAM = None
TOLERANCE = 1e-4  # of the largest magnitude


def read_npy(path):
    """The shape and the flat values of a version 1.0 .npy file."""
    data = path.read_bytes()
    length = struct.unpack_from("<H", data, 8)[0]
    header = ast.literal_eval(data[10:10 + length].decode("latin1"))
    values = array.array({"<f4": "f", "<i4": "i"}[header["descr"]])
    values.frombytes(data[10 + length:])
    return header["shape"], values


class Dump(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.out = pathlib.Path(temporary.name)

    def dump(self, prompt, *extra, family=PHI, tower=CLIP):
        question = json.loads((family / f"prompts/{prompt}.json").read_text())
        command = [PROGRAM, "dump", "--model", family / "ckpt", "--vision-tower", tower, "--raw", "--prompt",
                   question["prompt"], "--out", self.out, *extra]
        for image in question["images"]:
            command += ["--image", GOLDEN / "image" / image]
        subprocess.run(command, check=True)
        return question

    def assert_close(self, name, golden):
        shape, found = read_npy(self.out / f"{name}.npy")
        expected_shape, expected = read_npy(golden)
        self.assertEqual([n for n in shape if n != 1], [n for n in expected_shape if n != 1], name)
        scale = max(abs(v) for v in expected)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(found, expected)), TOLERANCE * scale, name)

    def assert_same(self, name, golden):
        self.assertEqual(read_npy(self.out / f"{name}.npy"), read_npy(golden), name)

    def read_json(self, name):
        return json.loads((self.out / f"{name}.json").read_text())

    def test_one_picture(self):
        for family in FAMILIES:
            with self.subTest(family.name):
                question = self.dump("p0", "--greedy", "16", family=family)
                self.assertEqual(self.read_json("ids"), question["input_ids"])
                self.assertEqual(self.read_json("greedy"), question["greedy_official_ids"])
                self.assert_close("preprocessed", GOLDEN / "pixels/img0_pad_pixel_values.npy")
                self.assert_close("vision", GOLDEN / "vision/img0_selected.npy")
                self.assert_close("projector", family / "img0.npy")
                for name in ("logits", "router_logits", "combine"):
                    self.assert_close(name, family / f"prompts/p0_{name}.npy")
                for name in ("top_idx", "slot"):
                    self.assert_same(name, family / f"prompts/p0_{name}.npy")
                self.dump("p0", "--capacity-factor", "0.5", family=family)
                self.assert_same("slot", family / "prompts/p0_drop_slot.npy")

    def test_families_of_transformers(self):
        for name in ("mistral", "qwen2", "minicpm"):
            with self.subTest(name):
                family = GOLDEN / name
                question = self.dump("p0", "--greedy", "12", family=family)
                self.assertEqual(self.read_json("ids"), question["input_ids"])
                for file in ("logits", "router_logits", "combine"):
                    self.assert_close(file, family / f"prompts/p0_{file}.npy")
                self.assert_same("top_idx", family / "prompts/p0_top_idx.npy")
                self.assertEqual(self.read_json("greedy"), question["greedy_ids"])

    def test_siglip(self):
        family = GOLDEN / "siglip"
        question = self.dump("p0", "--greedy", "12", family=family, tower=family / "tower")
        self.assertEqual(self.read_json("ids"), question["input_ids"])
        self.assert_close("preprocessed", family / "pixel_values.npy")
        self.assert_close("logits", family / "prompts/p0_logits.npy")
        self.assertEqual(self.read_json("greedy"), question["greedy_ids"])

    def test_tokenizers(self):
        for family in FAMILIES:
            for case in json.loads((family / "tokenizer_cases.json").read_text(encoding="utf-8")):
                command = [PROGRAM, "tokenize", "--model", family / "ckpt"]
                ids = subprocess.run(command, input=case["text"].encode(), capture_output=True, check=True).stdout
                self.assertEqual(json.loads(ids), case["ids"], f"{family.name}: {case['text']!r}")

    def test_dropping(self):
        self.dump("p0", "--capacity-factor", "0.5")
        self.assert_close("logits", PHI / "prompts/p0_drop_logits.npy")

    def test_recorded_noise(self):
        self.dump("p0", "--router-noise", PHI / "prompts/p0_noise_gumbel.npy")
        self.assert_close("combine", PHI / "prompts/p0_noise_combine.npy")
        self.assert_close("logits", PHI / "prompts/p0_noise_logits.npy")

    def test_text_only(self):
        question = self.dump("p3", "--greedy", "16")
        self.assertEqual(self.read_json("greedy"), question["greedy_official_ids"])
        self.assert_same("slot", PHI / "prompts/p3_slot.npy")
        self.assert_close("logits", PHI / "prompts/p3_logits.npy")

    def test_two_pictures(self):
        question = self.dump("p4")
        self.assertEqual(self.read_json("ids"), question["input_ids"])
        self.assert_same("slot", PHI / "prompts/p4_slot.npy")
        (positions, vocabulary), logits = read_npy(self.out / "logits.npy")
        _, expected = read_npy(PHI / "prompts/p4_argmax.npy")
        rows = [logits[t * vocabulary:(t + 1) * vocabulary] for t in range(positions)]
        self.assertEqual([row.index(max(row)) for row in rows], list(expected))

    def test_ids_and_template_give_the_same(self):
        question = self.dump("p0")
        first = read_npy(self.out / "logits.npy")
        (self.out / "in.json").write_text(json.dumps(question["input_ids"]))
        base = [PROGRAM, "dump", "--model", PHI / "ckpt", "--vision-tower", CLIP,
                "--image", GOLDEN / "image/img0.png", "--out", self.out]
        subprocess.run([*base, "--ids", self.out / "in.json"], check=True)
        self.assertEqual(read_npy(self.out / "logits.npy"), first)
        subprocess.run([*base, "--prompt", "What is shown in this image?"], check=True)
        self.assertEqual(self.read_json("ids"), question["input_ids"])


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

#!/usr/bin/env python3
"""`moe-llava dump` against reference numbers of tiny models: ids, pictures, router, experts, logits, greedy ids. Those of
the original MoE-LLaVA code: with dropping and with recorded noise, from safetensors and (Llama, the dense Phi) from .bin
shards; and those that tools/dump_reference.py had from transformers for the families that the original cannot run.
Where all logits of a prompt would be large, of every position the largest one's id and the logarithm of the summed
exponentials stand for them, and the last row; tools/check_goldens.py compares everything.   Usage: dump_test.py MOE_LLAVA"""
import array
import ast
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from checkpoint_files import read_safetensors, write_safetensors

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
PHI = GOLDEN / "phi"
FAMILIES = [GOLDEN / name for name in ("phi", "qwen", "stablelm", "llama")]
CLIP = GOLDEN / "clip_tiny"
PROGRAM = None
TOLERANCE = 1e-4  # of the largest magnitude
BFLOAT16_TOLERANCE = 1e-2


def read_npy(path):
    """The shape and the flat values of a version 1.0 .npy file."""
    data = pathlib.Path(path).read_bytes()
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

    def dump(self, prompt, *extra, family=PHI, checkpoint="ckpt", tower=CLIP):
        question = json.loads((family / f"prompts/{prompt}.json").read_text())
        command = [PROGRAM, "dump", "--model", family / checkpoint, "--vision-tower", tower, "--raw", "--prompt",
                   question["prompt"], "--out", self.out, *extra]
        for image in question["images"]:
            command += ["--image", GOLDEN / "image" / image]
        subprocess.run(command, check=True)
        return question

    def assert_values_close(self, found, expected, name, tolerance=TOLERANCE):
        scale = max(abs(v) for v in expected)
        self.assertEqual(len(found), len(expected), name)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(found, expected)), tolerance * scale, name)

    def assert_close(self, name, golden):
        shape, found = read_npy(self.out / f"{name}.npy")
        expected_shape, expected = read_npy(golden)
        self.assertEqual([n for n in shape if n != 1], [n for n in expected_shape if n != 1], name)
        self.assert_values_close(found, expected, name)

    def assert_logits(self, golden):
        """`golden` is the path up to "_logits.npy", or to what stands for it."""
        if pathlib.Path(f"{golden}_logits.npy").exists():
            self.assert_close("logits", f"{golden}_logits.npy")
            return
        (positions, vocabulary), logits = read_npy(self.out / "logits.npy")
        rows = [logits[t * vocabulary:(t + 1) * vocabulary] for t in range(positions)]
        self.assertEqual([row.index(max(row)) for row in rows], list(read_npy(f"{golden}_argmax.npy")[1]))
        sums = [max(row) + math.log(sum(math.exp(v - max(row)) for v in row)) for row in rows]
        self.assert_values_close(sums, read_npy(f"{golden}_logsumexp.npy")[1], "logsumexp")
        self.assert_values_close(rows[-1], read_npy(f"{golden}_last_logits.npy")[1], "last logits")

    def assert_pictures(self, family, images, tolerance=TOLERANCE):
        """What is computed of the pictures, in their order."""
        goldens = {"preprocessed": "pixels/{}_pad_pixel_values.npy", "vision": "vision/{}_selected.npy",
                   "projector": family.name + "/{}.npy"}
        for name, golden in goldens.items():
            _, found = read_npy(self.out / f"{name}.npy")
            length = len(found) // len(images)
            for i, image in enumerate(images):
                path = GOLDEN / golden.format(pathlib.Path(image).stem)
                if name == "preprocessed" and path.exists():  # of two; the others are checked beside the code
                    self.assertEqual(found[i * length:(i + 1) * length], read_npy(path)[1], image)
                elif name != "preprocessed":
                    self.assert_values_close(found[i * length:(i + 1) * length], read_npy(path)[1], name, tolerance)

    def assert_same(self, name, golden):
        self.assertEqual(read_npy(self.out / f"{name}.npy"), read_npy(golden), name)

    def read_json(self, name):
        return json.loads((self.out / f"{name}.json").read_text())

    def check_prompt(self, family, prompt):
        golden = family / "prompts" / prompt
        question = self.dump(prompt, "--greedy", "16", family=family)
        self.assertEqual(self.read_json("ids"), question["input_ids"])
        self.assertEqual(self.read_json("greedy"), question["greedy_official_ids"])
        if question["images"]:
            self.assert_pictures(family, question["images"])
        for name in ("router_logits", "combine"):
            self.assert_close(name, f"{golden}_{name}.npy")
        for name in ("top_idx", "slot"):
            self.assert_same(name, f"{golden}_{name}.npy")
        self.assert_logits(golden)
        self.dump(prompt, "--capacity-factor", "0.5", family=family)
        self.assert_same("slot", f"{golden}_drop_slot.npy")
        self.assert_close("combine", f"{golden}_drop_combine.npy")
        if prompt == "p0":
            self.assert_logits(f"{golden}_drop")
            self.dump(prompt, "--router-noise", f"{golden}_noise_gumbel.npy", family=family)
            self.assert_close("combine", f"{golden}_noise_combine.npy")
            self.assert_logits(f"{golden}_noise")

    def test_every_prompt(self):
        """One picture, two, none; as it is, with dropping, and with recorded noise."""
        for family in FAMILIES:
            prompts = sorted(path.stem for path in (family / "prompts").glob("p?.json"))
            self.assertEqual(prompts, ["p0", "p2"] if family.name == "llama" else ["p0", "p1", "p2", "p3", "p4"])
            for prompt in prompts:
                with self.subTest(f"{family.name} {prompt}"):
                    self.check_prompt(family, prompt)

    def test_capacity_comes_from_the_config(self):
        copy = self.out / "ckpt"
        shutil.copytree(PHI / "ckpt", copy)
        config = json.loads((copy / "config.json").read_text())
        config["moe"]["eval_capacity_factor"] = 0.5
        (copy / "config.json").write_text(json.dumps(config))
        self.dump("p0", checkpoint=copy)
        self.assert_same("slot", PHI / "prompts/p0_drop_slot.npy")

    def test_dense_model_from_bin_shards(self):
        self.dump("p0", checkpoint="ckpt_dense")
        self.assert_logits(PHI / "prompts/p0_dense")

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

    def test_sixteen_bit_weights_lose_nothing(self):
        """Products of stored 16-bit weights are those of the same values stored in 32 bits. (The goldens' weights are
        bfloat16, so that every other test here says it of those.)"""
        copies = {}
        for dtype, form in (("F16", "e"), ("F32", "f")):
            copies[dtype] = self.out / dtype
            shutil.copytree(PHI / "ckpt", copies[dtype])
            for path in copies[dtype].glob("model-*.safetensors"):
                tensors = {}
                for name, (_, shape, data) in read_safetensors(path).items():
                    bits = array.array("H", data)
                    values = struct.unpack(f"<{len(bits)}f", array.array("I", [b << 16 for b in bits]).tobytes())
                    values = struct.unpack(f"<{len(bits)}e", struct.pack(f"<{len(bits)}e", *values))
                    tensors[name] = (dtype, shape, struct.pack(f"<{len(bits)}{form}", *values))
                write_safetensors(path, tensors)
            index = copies[dtype] / "model.safetensors.index.json"
            files = {"weight_map": json.loads(index.read_text())["weight_map"]}  # its total_size is another's
            index.write_text(json.dumps(files))
        names = ("router_logits", "combine", "hidden_states", "logits", "top_idx", "slot")
        self.dump("p0", checkpoint=copies["F32"])
        expected = {name: read_npy(self.out / f"{name}.npy")[1] for name in names}
        self.dump("p0", checkpoint=copies["F16"])
        for name in names:
            self.assert_values_close(read_npy(self.out / f"{name}.npy")[1], expected[name], name)
        self.assertEqual(read_npy(self.out / "top_idx.npy")[1], expected["top_idx"])

    def test_bfloat16_products(self):
        """--bf16 rounds the factors of large products: within 1e-2 of the reference, until a token between whose experts
        less than that decides goes to another one. What it and those behind it compute is then another number."""
        clean = 0
        prompts = [(family, prompt) for family in FAMILIES for prompt in ("p0", "p2")]
        for family, prompt in prompts:
            with self.subTest(f"{family.name} {prompt}"):
                clean += self.check_bfloat16(family, prompt)
        self.assertGreater(clean, len(prompts) / 2)

    def check_bfloat16(self, family, prompt):
        """Returns the share of the positions that no other choice of experts reaches."""
        golden = family / "prompts" / prompt
        question = self.dump(prompt, "--bf16", family=family)
        if question["images"]:
            self.assert_pictures(family, question["images"], BFLOAT16_TOLERANCE)

        def both(name):
            return read_npy(self.out / f"{name}.npy")[1], read_npy(f"{golden}_{name}.npy")[1]

        (layers, positions, experts), router = read_npy(f"{golden}_router_logits.npy")
        chosen = [[set(top[2 * row:2 * row + 2]) for row in range(layers * positions)] for top in both("top_idx")]
        others = [(row % positions, row) for row in range(layers * positions) if chosen[0][row] != chosen[1][row]]
        first, row = min(others, default=(positions, None))
        if others:
            logits = router[row * experts:(row + 1) * experts]
            margin = abs(sum(logits[e] for e in chosen[0][row]) - sum(logits[e] for e in chosen[1][row]))
            # Each of two logits may have moved by one tolerance.
            self.assertLessEqual(margin, 2 * BFLOAT16_TOLERANCE * max(map(abs, router)), "experts")
        for name in ("router_logits", "combine"):
            found, expected = both(name)
            scale = BFLOAT16_TOLERANCE * max(map(abs, expected))
            for layer in range(layers):
                for i in range(layer * positions * experts, (layer * positions + first) * experts):
                    self.assertLessEqual(abs(found[i] - expected[i]), scale, name)
        if pathlib.Path(f"{golden}_logits.npy").exists():
            found, expected = both("logits")
            reached = first * (len(expected) // positions)
            scale = BFLOAT16_TOLERANCE * max(map(abs, expected))
            worst = max((abs(a - b) for a, b in zip(found[:reached], expected[:reached])), default=0)
            self.assertLessEqual(worst, scale, "logits")
        return first / positions

    def test_tokenizers(self):
        for family in FAMILIES:
            for case in json.loads((family / "tokenizer_cases.json").read_text(encoding="utf-8")):
                command = [PROGRAM, "tokenize", "--model", family / "ckpt"]
                ids = subprocess.run(command, input=case["text"].encode(), capture_output=True, check=True).stdout
                self.assertEqual(json.loads(ids), case["ids"], f"{family.name}: {case['text']!r}")

    def test_drawn_second_experts(self):
        """A seed gives the same noise to every position, whether it is run in the prompt or as an answer is written."""
        def drawn(seed, *extra):
            self.dump("p0", "--router-sampling", "gumbel", "--seed", str(seed), *extra)
            return [read_npy(self.out / f"{name}.npy") for name in ("top_idx", "logits")]

        self.dump("p0")
        shape, plain = read_npy(self.out / "top_idx.npy")
        first = drawn(1, "--greedy", "16")
        written = self.read_json("greedy")
        self.assertEqual(drawn(1), first)
        self.assertNotEqual(drawn(2)[0], first[0])
        self.assertEqual(first[0][1][0::2][:shape[1]], plain[0::2][:shape[1]], "first choices of the first layer")
        self.assertNotEqual(first[0][1], plain)
        # The answer again, run in one pass behind its prompt.
        ids = self.read_json("ids") + written
        (self.out / "whole.json").write_text(json.dumps(ids))
        subprocess.run([PROGRAM, "dump", "--model", PHI / "ckpt", "--vision-tower", GOLDEN / "clip_tiny", "--image",
                        GOLDEN / "image/img0.png", "--ids", self.out / "whole.json", "--router-sampling", "gumbel",
                        "--seed", "1", "--out", self.out], check=True)
        (positions, vocabulary), logits = read_npy(self.out / "logits.npy")
        rows = [logits[t * vocabulary:(t + 1) * vocabulary] for t in range(positions - len(written) - 1, positions - 1)]
        self.assertEqual([row.index(max(row[:630])) for row in rows], written)

    def test_number_of_experts(self):
        self.dump("p3", "--top-k-experts", "1", "--capacity-factor", "4")
        (layers, positions, _), combine = read_npy(self.out / "combine.npy")
        _, router = read_npy(self.out / "router_logits.npy")
        for row in range(layers * positions):
            gates = [math.exp(v) for v in router[4 * row:4 * row + 4]]
            expected = [gate / sum(gates) if gate == max(gates) else 0 for gate in gates]
            for found, weight in zip(combine[4 * row:4 * row + 4], expected):
                self.assertAlmostEqual(found, weight, places=5)

    def test_flags_that_do_not_fit(self):
        base = [PROGRAM, "dump", "--prompt", "x", "--vision-tower", GOLDEN / "clip_tiny", "--out", self.out, "--model"]
        for model, flags, message in (
                ("ckpt", ["--top-k-experts", "5"], "--top-k-experts: more than there are experts"),
                ("ckpt_dense", ["--top-k-experts", "1"], "--top-k-experts: a dense model has no routers"),
                ("ckpt_dense", ["--router-sampling", "gumbel"], "--router-sampling: a dense model has no routers"),
                ("ckpt", ["--router-sampling", "gumbel", "--router-noise", PHI / "prompts/p0_noise_gumbel.npy"],
                 "--router-noise: not together with --router-sampling gumbel")):
            refused = subprocess.run([*base, PHI / model, *flags], capture_output=True, text=True)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(message, refused.stderr)

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
        # A picture can be given its place; an <image> without a picture is a word.
        question = self.dump("p0")
        place = question["input_ids"].index(-200)
        subprocess.run([*base, "--prompt", "What is shown in <image>, not <image>?"], check=True)
        ids = self.read_json("ids")
        self.assertEqual(ids.count(-200), 1)
        self.assertGreater(ids.index(-200), place)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

#!/usr/bin/env python3
"""Published folders in every spelling: the same weights under other names and in other files give the same numbers;
malformed folders give one line.   Usage: spellings_test.py MOE_LLAVA"""
import array
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from checkpoint_files import read_folder, write_safetensors, write_torch, write_torch_pickle
from dump_test import read_npy
from train_tiny_folder import write_data, write_language_model, write_tower

PROGRAM = None
GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
CLIP = GOLDEN / "clip_tiny"
PROJECTOR = "model.mm_projector.image_spatial_proj."
TOWER = "model.image_tower.image_tower."
VISION = json.loads((CLIP / "config.json").read_text())["vision_config"]
LLAVA_15 = {PROJECTOR: "model.mm_projector.", TOWER: "model.vision_tower.vision_tower."}
LLAVA_HF = {PROJECTOR + "0.": "multi_modal_projector.linear_1.", PROJECTOR + "2.": "multi_modal_projector.linear_2.",
            TOWER: "vision_tower.", "model.": "language_model.model.", "lm_head.": "language_model.lm_head."}
LLAVA_HF_MODULES = {
    PROJECTOR + "0.": "model.multi_modal_projector.linear_1.",
    PROJECTOR + "2.": "model.multi_modal_projector.linear_2.",
    TOWER: "model.vision_tower.", "model.": "model.language_model."}


def renamed(tensors, beginnings):
    def rename(name):
        for old, new in beginnings.items():
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name

    return {rename(name): tensor for name, tensor in tensors.items()}


def tower_tensors(prefix=TOWER):
    return {prefix + name: tensor for name, tensor in read_folder(CLIP).items() if name.startswith("vision_model.")}


def dense(tensors):
    """Every mixture replaced by its first expert."""
    first = ".deepspeed_moe.experts.deepspeed_experts.0"
    return {name.replace(first, ""): tensor for name, tensor in tensors.items()
            if ".deepspeed_moe." not in name or first in name}


def is_projector(name):
    return ".mm_projector." in name


class Folders(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)

    def folder(self, name, family, tensors, changes, write=write_safetensors, file="model.safetensors"):
        """A folder of these tensors with the tokenizer and config of a family's golden one."""
        folder = self.root / name
        folder.mkdir()
        for path in (GOLDEN / family / "ckpt").iterdir():
            if not path.name.startswith(("model", "pytorch_model", "config")):
                shutil.copy(path, folder)
        config = json.loads((GOLDEN / family / "ckpt/config.json").read_text())
        config |= {"image_aspect_ratio": "square"}
        config |= changes
        (folder / "config.json").write_text(json.dumps({key: v for key, v in config.items() if v is not None}))
        shutil.copy(CLIP / "preprocessor_config.json", folder)
        write(folder / file, tensors)
        return folder

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)

    def dump(self, folder, *extra, tower=True):
        """What `dump` writes about a question with a picture, by file name."""
        out = self.root / "out"
        shutil.rmtree(out, ignore_errors=True)
        done = self.run_program("dump", "--model", folder, "--raw", "--prompt", "<image>\nWhat is shown?", "--image",
                                GOLDEN / "image/img1.jpg", "--greedy", "8", "--out", out,
                                *(["--vision-tower", CLIP] if tower else []), *extra)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {path.name: path.read_bytes() for path in out.iterdir()}

    def assert_refused(self, folder, *parts, code=3, extra=()):
        done = self.run_program("dump", "--model", folder, "--raw", "--prompt", "x", "--out", self.root / "out", *extra)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertLessEqual(len(done.stderr), 500, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)


class Spellings(Folders):
    def test_llava_15_and_llava_hf(self):
        tensors = dense(read_folder(GOLDEN / "llama/ckpt"))
        own = tensors | tower_tensors()
        flat = {"moe": None, "model_type": "llava_llama"}
        expected = self.dump(self.folder("plain", "llama", tensors, flat))
        first = {"moe": None, "model_type": "llava", "architectures": ["LlavaLlamaForCausalLM"], "mm_image_tower": None,
                 "mm_vision_tower": "somewhere/clip", "image_projector_type": None, "mm_projector_type": "mlp2x_gelu",
                 "vision_config": VISION}
        text = json.loads((GOLDEN / "llama/ckpt/config.json").read_text())
        text = {key: text[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
                                           "num_attention_heads", "num_key_value_heads", "rms_norm_eps")}
        hf = {key: None for key in text} | first | {
            "architectures": ["LlavaForConditionalGeneration"], "mm_vision_tower": None, "mm_projector_type": None,
            "projector_hidden_act": "gelu", "image_token_index": 639, "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default", "text_config": text | {"model_type": "llama"}}
        for name, beginnings, changes in (("llava15", LLAVA_15, first), ("hf", LLAVA_HF, hf),
                                          ("modules", LLAVA_HF_MODULES, hf)):
            with self.subTest(name):
                folder = self.folder(name, "llama", renamed(own, beginnings), changes)
                self.assertEqual(self.dump(folder, tower=False), expected)
                # A tower of its own takes the place of the copy, whatever that is called.
                self.assertEqual(self.dump(folder), expected)
        folder = self.folder("whole", "llama", renamed(own, LLAVA_HF), hf | {"vision_feature_select_strategy": "full"})
        shape, _ = read_npy(self.dumped(folder, "projector.npy"))
        self.assertEqual(shape[1], 17)

    def dumped(self, folder, name):
        self.dump(folder, tower=False)
        return self.root / "out" / name

    def test_a_towers_copy_under_every_family(self):
        for family, base in (("phi", "model"), ("qwen", "transformer")):
            tensors = read_folder(GOLDEN / family / "ckpt")
            expected = self.dump(self.folder(family, family, tensors, {}))
            own = tensors | tower_tensors(f"{base}.image_tower.image_tower.")
            folder = self.folder(family + "_own", family, own, {"vision_config": VISION})
            self.assertEqual(self.dump(folder, tower=False), expected, family)

    def test_projector_in_a_file_of_its_own(self):
        tensors = read_folder(GOLDEN / "phi/ckpt")
        expected = self.dump(self.folder("together", "phi", tensors, {}))
        projector = {name: tensor for name, tensor in tensors.items() if is_projector(name)}
        rest = {name: tensor for name, tensor in tensors.items() if not is_projector(name)}
        folder = self.folder("apart", "phi", rest, {}, write_torch, "pytorch_model.bin")
        self.assert_refused(folder, "4 missing: " + PROJECTOR + "0.weight", extra=["--vision-tower", CLIP])
        for beginnings in ({}, {PROJECTOR: "model.mm_projector."}, {PROJECTOR: "module.model.mm_projector."}):
            write_torch(folder / "mm_projector.bin", renamed(projector, beginnings))
            self.assertEqual(self.dump(folder), expected)
        # Named on the command line, it comes before the checkpoint's own.
        silent = {name: (dtype, shape, bytes(len(data))) for name, (dtype, shape, data) in projector.items()}
        other = self.folder("other", "phi", rest | silent, {})
        self.assertNotEqual(self.dump(other), expected)
        self.assertEqual(self.dump(other, "--mm-projector", folder / "mm_projector.bin"), expected)
        write_torch(folder / "mm_projector.bin", tower_tensors())
        self.assert_refused(folder, "mm_projector.bin", "holds no projector", extra=["--vision-tower", CLIP])
        write_torch_pickle(folder / "mm_projector.bin", b"\x80\x02cos\nsystem\n" + b"X\x02\0\0\0id\x85R.")
        self.assert_refused(folder, "GLOBAL os.system is not allowed: this file tries to run code",
                            extra=["--vision-tower", CLIP])

    def test_pooled_projector(self):
        tensors = renamed(read_folder(GOLDEN / "phi/ckpt"), {PROJECTOR: PROJECTOR + "block."})
        folder = self.folder("pooled", "phi", tensors, {"image_projector_type": "pool_mlp2x_gelu"})
        found = self.dump(folder)
        (_, tokens, width), vision = read_npy(self.root / "out/vision.npy")
        shape, projected = read_npy(self.root / "out/projector.npy")
        self.assertEqual((tokens, shape[1]), (16, 4))
        positions = len(json.loads(found["ids.json"])) + 4 - 1
        self.assertEqual(read_npy(self.root / "out/logits.npy")[0][0], positions)
        # The same numbers from means that are taken here, through the projector without a pool.
        means = []
        for row in (0, 2):
            for column in (0, 2):
                cells = [(row + i) * 4 + column + j for i in (0, 1) for j in (0, 1)]
                means.append([sum(vision[cell * width + w] for cell in cells) / 4 for w in range(width)])
        weights = {name: values(tensors[f"{PROJECTOR}block.{name}"]) for name in
                   ("0.weight", "0.bias", "2.weight", "2.bias")}
        for token, mean in enumerate(means):
            hidden = [gelu(v) for v in linear(mean, weights["0.weight"], weights["0.bias"])]
            for h, value in enumerate(linear(hidden, weights["2.weight"], weights["2.bias"])):
                self.assertAlmostEqual(projected[token * shape[2] + h], value, places=4)

    def test_ids_of_generation_config(self):
        tensors = read_folder(GOLDEN / "phi/ckpt")
        folder = self.folder("stops", "phi", tensors, {})
        whole = json.loads(self.dump(folder)["greedy.json"])
        self.assertEqual(len(whole), 8)
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [590, whole[2]]}))
        self.assertEqual(json.loads(self.dump(folder)["greedy.json"]), whole[:3])
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": whole[2]}))
        self.assertEqual(json.loads(self.dump(folder)["greedy.json"]), whole[:3])

    def test_training_starts_from_a_projector_file(self):
        write_language_model(self.root / "language-model")
        write_tower(self.root / "tower")
        write_data(self.root, samples=12)
        shapes = {"0.weight": [32, 16], "0.bias": [32], "2.weight": [32, 32], "2.bias": [32]}
        projector = {}
        for i, (name, shape) in enumerate(shapes.items()):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            data = array.array("f", [(i + 1) * 0.01 + n / 4096 for n in range(count)]).tobytes()
            projector["model.mm_projector." + name] = ("F32", shape, data)
        write_torch(self.root / "mm_projector.bin", projector)
        records = [r for r in json.loads((self.root / "data.json").read_text()) if "image" in r]
        (self.root / "data.json").write_text(json.dumps(records))
        done = self.run_program("train", "--stage", "1", "--model_name_or_path", self.root / "language-model",
                                "--vision_tower", self.root / "tower", "--pretrain_mm_mlp_adapter",
                                self.root / "mm_projector.bin", "--data_path", self.root / "data.json",
                                "--image_folder", self.root / "images", "--output_dir", self.root / "trained",
                                "--max_steps", "1", "--learning_rate", "0", "--threads", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        trained = read_folder(self.root / "trained")
        for name, tensor in projector.items():
            self.assertEqual(trained[name.replace("mm_projector.", "mm_projector.image_spatial_proj.")], tensor)


class Malformed(Folders):
    """Rows of the catalogue of bad folders that need a whole one; the parsers' own rows stand in their tests."""

    def test_configs(self):
        tensors = read_folder(GOLDEN / "phi/ckpt")
        folder = self.folder("model", "phi", tensors, {})
        config = json.loads((folder / "config.json").read_text())
        for field, value, *parts in (
                ("image_projector_type", "identity", "identity needs equal widths", "48", "64"),
                ("vocab_size", 660, "do not fit", "[640, 64] instead of [660, 64]"),
                ("moe", config["moe"] | {"num_experts": [5, 4]}, "missing", "deepspeed_experts.4.fc1")):
            with self.subTest(field=field, value=value):
                (folder / "config.json").write_text(json.dumps(config | {field: value}))
                self.assert_refused(folder, *parts, extra=["--vision-tower", CLIP])

    def test_pictures_of_another_size_than_the_towers(self):
        folder = self.folder("model", "phi", read_folder(GOLDEN / "phi/ckpt") | tower_tensors(),
                             {"vision_config": VISION})
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"size": 28, "crop_size": 28}))
        self.assert_refused(folder, "28 px in preprocessor_config.json", "expected 56")

    def test_files(self):
        folder = self.folder("model", "phi", read_folder(GOLDEN / "phi/ckpt"), {})
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        for content, *parts in ((b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
                                (b"<!DOCTYPE html><html>", "HTML page"), (b"", "wrong file format"),
                                (whole[:-1], "model.safetensors", "run past the end"),
                                (struct.pack("<Q", 1 << 63) + whole[8:], "header length")):
            path.write_bytes(content)
            self.assert_refused(folder, *parts, extra=["--vision-tower", CLIP])
        path.write_bytes(whole)
        generation = folder / "generation_config.json"
        for content, *parts in (('{"eos_token_id": 640}', "eos_token_id"), ('{"eos_token_id": [1, -1]}', "eos_token_id"),
                                ('{"eos_token_id": 1, "eos_token_id": 2}', "line 1 col 2 and line 1 col 21"),
                                ("[]", "not a JSON object")):
            generation.write_text(content)
            self.assert_refused(folder, "generation_config.json", *parts, extra=["--vision-tower", CLIP])

    def test_a_tower_that_is_nowhere(self):
        tensors = {name: tensor for name, tensor in read_folder(GOLDEN / "phi/ckpt").items() if TOWER not in name}
        folder = self.folder("model", "phi", tensors, {"vision_config": VISION})
        self.assert_refused(folder, "mm_image_tower: the weights of the vision tower are not here", "--vision-tower DIR")

    def test_a_token_without_a_row(self):
        folder = self.folder("model", "phi", read_folder(GOLDEN / "phi/ckpt"), {})
        path = folder / "added_tokens.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"<|new|>": 640}))
        self.assert_refused(folder, "more tokens than the model has embeddings: found 641",
                            extra=["--vision-tower", CLIP])


def values(tensor):
    dtype, shape, data = tensor
    assert dtype == "BF16", dtype
    flat = [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    width = shape[-1]
    return [flat[i:i + width] for i in range(0, len(flat), width)] if len(shape) > 1 else flat


def linear(x, weight, bias):
    return [sum(a * b for a, b in zip(x, row)) + b for row, b in zip(weight, bias)]


def gelu(value):
    return value * (1 + math.erf(value / math.sqrt(2))) / 2


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

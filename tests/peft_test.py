#!/usr/bin/env python3
"""LoRA adapters that Hugging Face's PEFT wrote: logits and merged weights against those that PEFT got, in
tests/golden/peft, written by tools/dump_peft.py; and an adapter that is trained here has PEFT's names.
Usage: peft_test.py MOE_LLAVA"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy
import safetensors.numpy

from train_tiny_folder import write_data

PROGRAM = None
GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
BASE = GOLDEN / "qwen2/ckpt"
OF_BASE = ["--model-base", BASE, "--vision-tower", GOLDEN / "clip_tiny"]


class OfPeft(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def dump(self, adapter, code=0):
        prompt = json.loads((GOLDEN / "qwen2/prompts/p0.json").read_text())
        (self.folder / "ids.json").write_text(json.dumps(prompt["input_ids"]))
        return self.run_program("dump", "--model", adapter, *OF_BASE, "--image", GOLDEN / "image/img0.png", "--ids",
                                self.folder / "ids.json", "--threads", "1", "--out", self.folder / "dump", code=code)

    def assert_close(self, found, expected, tolerance):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(abs(found - expected).max(), tolerance * abs(expected).max())

    def test_logits(self):
        for name in ("plain", "patterns"):
            expected = numpy.load(GOLDEN / "peft" / name / "logits.npy")
            self.dump(GOLDEN / "peft" / name)
            found = numpy.load(self.folder / "dump/logits.npy")
            self.assert_close(found[-len(expected):], expected, 1e-5)

    def test_merged_weights(self):
        for name in ("plain", "patterns"):
            merged = self.folder / name
            self.run_program("merge", "--model", GOLDEN / "peft" / name, *OF_BASE, "--out", merged)
            weights = safetensors.numpy.load_file(merged / "model.safetensors")
            expected = safetensors.numpy.load_file(GOLDEN / "peft" / name / "merged.safetensors")
            for tensor, values in expected.items():
                self.assert_close(weights[tensor], values, 1e-6)

    def test_what_is_not_supported_is_named(self):
        refused = json.loads((GOLDEN / "peft/refused.json").read_text())
        self.assertGreater(len(refused), 8)
        shutil.copytree(GOLDEN / "peft/plain", self.folder / "adapter")
        for told, config in refused.items():
            (self.folder / "adapter/adapter_config.json").write_text(json.dumps(config))
            self.assertIn(told, self.dump(self.folder / "adapter", code=3).stderr)

    def test_a_trained_adapter_has_pefts_names(self):
        write_data(self.folder / "data", samples=4, pictures=2)
        self.run_program(
            "train", "--stage", "finetune", "--model_name_or_path", BASE, "--vision_tower", GOLDEN / "clip_tiny",
            "--data_path", self.folder / "data/data.json", "--image_folder", self.folder / "data/images",
            "--output_dir", self.folder / "trained", "--lora_enable", "True", "--lora_r", 2, "--lora_alpha", 6,
            "--only_lora_ffn", "False", "--max_steps", 1, "--per_device_train_batch_size", 2, "--feature_cache", "none",
            "--threads", 1)
        shapes, configs = [], []
        for folder in (self.folder / "trained", GOLDEN / "peft/plain"):
            tensors = safetensors.numpy.load_file(folder / "adapter_model.safetensors")
            shapes.append({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()})
            config = json.loads((folder / "adapter_config.json").read_text())
            configs.append({name: config[name] for name in ("peft_type", "r", "lora_alpha", "bias", "fan_in_fan_out")} |
                           {"target_modules": sorted(config["target_modules"])})
        self.assertEqual(*shapes)
        self.assertEqual(*configs)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

#!/usr/bin/env python3
"""LoRA from outside: what a run with adapters leaves, in PEFT's layout, and that it goes on to the bit.
Usage: adapter_test.py MOE_LLAVA"""
import json
import pathlib
import subprocess
import sys
import time
import unittest

import safetensors.numpy

from checkpoint_files import read_torch
from processes import in_processes, needs_mpirun
from tiny_case import WholeRunCase
from train_tiny_folder import HIDDEN, INNER, LAYERS, train_arguments

PROGRAM = None
WRAPPER = "base_model.model."
EXPERTS = "mlp.deepspeed_moe.experts.deepspeed_experts."
LORA = ["--lora_enable", "True", "--lora_r", "4", "--lora_alpha", "8"]
ADAPTER_FILES = ("adapter_model.safetensors", "non_lora_trainables.bin", "adapter_config.json", "config.json")


class Adapters(WholeRunCase):
    flags = LORA

    def refused(self, code, expected, command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(expected, done.stderr)

    def assert_same_adapter(self, folder):
        for name in ADAPTER_FILES:
            self.assertEqual((folder / name).read_bytes(), (self.whole / name).read_bytes(), name)

    def test_a_run_leaves_pefts_folder(self):
        names = {path.name for path in self.whole.iterdir()}
        self.assertLessEqual({*ADAPTER_FILES, "trainer_state.json", "generation_config.json"}, names)
        self.assertNotIn("model.safetensors", names)
        config = json.loads((self.whole / "adapter_config.json").read_text())
        self.assertEqual(config["peft_type"], "LORA")
        self.assertEqual((config["r"], config["lora_alpha"], config["lora_dropout"], config["bias"]), (4, 8, 0.05, "none"))
        self.assertEqual(config["target_modules"], ["down_proj", "gate_proj", "up_proj"])
        self.assertEqual(config["base_model_name_or_path"], str(self.folder / "model"))
        self.assertEqual(json.loads((self.whole / "config.json").read_text())["moe"]["num_experts"], [3])

        shapes = {}
        for layer in range(LAYERS):  # the first has experts
            for branch in [EXPERTS + f"{e}." for e in range(3)] if layer == 0 else ["mlp."]:
                for module in ("gate_proj", "up_proj", "down_proj"):
                    inner, outer = (INNER, HIDDEN) if module == "down_proj" else (HIDDEN, INNER)
                    path = f"{WRAPPER}model.layers.{layer}.{branch}{module}"
                    shapes[path + ".lora_A.weight"] = (4, inner)
                    shapes[path + ".lora_B.weight"] = (outer, 4)
        tensors = safetensors.numpy.load_file(self.whole / "adapter_model.safetensors")
        self.assertEqual({name: tensor.shape for name, tensor in tensors.items()}, shapes)
        experts = [tensors[f"{WRAPPER}model.layers.0.{EXPERTS}{e}.up_proj.lora_B.weight"] for e in range(3)]
        self.assertFalse((experts[0] == experts[1]).all())
        self.assertTrue(all(expert.any() for expert in experts))

        projector = WRAPPER + "model.mm_projector.image_spatial_proj."
        self.assertEqual(set(read_torch(self.whole / "non_lora_trainables.bin")),
                         {WRAPPER + "model.layers.0.mlp.deepspeed_moe.gate.wg.weight",
                          *(projector + end for end in ("0.weight", "0.bias", "2.weight", "2.bias"))})

    def test_checkpoints_hold_what_is_trained(self):
        newest = max(self.whole.glob("checkpoint-*"))
        trained = set(safetensors.numpy.load_file(newest / "model.safetensors"))
        self.assertEqual(len([name for name in trained if ".lora_" in name]), 2 * 3 * (3 + 1))
        self.assertEqual(len([name for name in trained if ".lora_" not in name]), 1 + 4)
        moments = set(safetensors.numpy.load_file(newest / "optimizer.safetensors"))
        self.assertEqual(moments, {f"{kind}.{name}" for name in trained for kind in ("exp_avg", "exp_avg_sq")})

    def test_a_killed_run_ends_with_the_same_bits(self):
        output = self.folder / "killed"
        for step in (8, 16, 28):
            run = subprocess.Popen(self.arguments(output), stderr=subprocess.DEVNULL)
            while not (output / f"checkpoint-{step}" / "COMPLETE").exists() and run.poll() is None:
                time.sleep(0.005)
            run.kill()
            run.wait()
        self.assertFalse((output / "trainer_state.json").exists(), "ended before it was killed")
        done = self.run_train(output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resumed from", done.stderr)
        self.assert_same_adapter(output)

    @needs_mpirun
    def test_two_processes_give_the_same_bits(self):
        output = self.folder / "two"
        command = self.arguments(output, "--gradient_accumulation_steps", "1")
        done = subprocess.run(in_processes(2, command), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same_adapter(output)

    def test_all_layers_of_a_dense_model(self):
        output = self.folder / "dense"
        command = [PROGRAM, "train", "--stage", "2", "--model_name_or_path", self.folder / "model", "--data_path",
                   self.folder / "data.json", "--image_folder", self.folder / "images", "--output_dir", output,
                   "--max_steps", "2", "--threads", "1", *LORA, "--lora_dropout", "0"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        config = json.loads((output / "adapter_config.json").read_text())
        self.assertEqual(config["target_modules"],
                         ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"])
        tensors = safetensors.numpy.load_file(output / "adapter_model.safetensors")
        self.assertEqual(len(tensors), 2 * 7 * LAYERS)

    def test_flags_that_do_not_fit(self):
        output = self.folder / "never"
        base = train_arguments(PROGRAM, self.folder, output)
        self.refused(2, "--lora_r: only with --lora_enable True", [*base, "--lora_r", "8"])
        self.refused(2, '--lora_r: not allowed: found "0", expected an integer from 1', [*base, *LORA, "--lora_r", "0"])
        self.refused(2, '--lora_bias: not allowed: found "all"', [*base, *LORA, "--lora_bias", "all"])
        self.refused(2, "--lora_dropout: not allowed", [*base, *LORA, "--lora_dropout", "1"])
        self.refused(2, "--lora_enable: only for stage 2 and 3 and finetune",
                     [PROGRAM, "train", "--stage", "1", "--model_name_or_path", "m", "--data_path", "d", "--output_dir",
                      output, *LORA])
        self.refused(2, "lora_r: 4, now 5", self.arguments(self.unfinished(), "--lora_r", "5"))

    def unfinished(self):
        """An output folder with a checkpoint of a run that was killed."""
        output = self.folder / "unfinished"
        run = subprocess.Popen(self.arguments(output, "--max_steps", "100000"), stderr=subprocess.DEVNULL)
        while not (output / "checkpoint-4" / "COMPLETE").exists() and run.poll() is None:
            time.sleep(0.01)
        run.kill()
        run.wait()
        return output


if __name__ == "__main__":
    PROGRAM = WholeRunCase.program = sys.argv.pop(1)
    unittest.main()

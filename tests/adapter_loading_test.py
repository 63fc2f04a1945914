#!/usr/bin/env python3
"""LoRA adapters read, merged and trained on: against weights that NumPy merged, in every form that PEFT writes; and
what is wrong with malformed ones.   Usage: adapter_loading_test.py MOE_LLAVA"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import unittest

import numpy
import safetensors.numpy

from checkpoint_files import write_torch
from tiny_case import TinyFolderCase
from train_tiny_folder import HIDDEN, INNER, LAYERS, train_arguments

PROGRAM = None
WRAPPER = "base_model.model."
WIDTHS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "bias": "none",
          "target_modules": ["q_proj", "up_proj", "down_proj"], "fan_in_fan_out": False, "modules_to_save": None}


def random_matrices(ranks=None):
    """{"model.layers.0.mlp.up_proj": (A, B)} in every layer; `ranks` by module."""
    rng = numpy.random.default_rng(5)
    matrices = {}
    for layer in range(LAYERS):
        for module, (outputs, inputs) in WIDTHS.items():
            rank = (ranks or {}).get(module, 4)
            matrices[f"model.layers.{layer}.{module}"] = tuple(
                rng.normal(0, 0.2, shape).astype(numpy.float32) for shape in ((rank, inputs), (outputs, rank)))
    return matrices


def adapter_tensors(matrices, name=""):
    return {f"{WRAPPER}{module}.lora_{letter}{name}.weight": matrix
            for module, pair in matrices.items() for letter, matrix in zip("AB", pair)}


class AdapterCase(TinyFolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = cls.folder / "model"

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], input="", capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def logits(self, model, *extra):
        out = self.folder / "dump"
        shutil.rmtree(out, ignore_errors=True)
        self.run_program("dump", "--model", model, "--image", self.folder / "images/0.png", "--prompt", "What is it?",
                         "--out", out, "--threads", "1", *extra)
        return numpy.load(out / "logits.npy")

    def write_adapter(self, name, matrices=None, config=None, tensors=None):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
        if tensors is None:
            tensors = adapter_tensors(matrices or random_matrices())
        safetensors.numpy.save_file(tensors, folder / "adapter_model.safetensors")
        return folder

    def merged_by_numpy(self, matrices, scales):
        """The base with scale * B A added; `scales` by module, or one for all."""
        folder = self.folder / "numpy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base, folder)
        weights = safetensors.numpy.load_file(folder / "model.safetensors")
        for module, (a, b) in matrices.items():
            scale = scales if isinstance(scales, (int, float)) else scales[module.split(".", 3)[3]]
            weights[module + ".weight"] = weights[module + ".weight"] + scale * (b @ a)
        safetensors.numpy.save_file(weights, folder / "model.safetensors")
        return folder

    def assert_close(self, found, expected):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(abs(found - expected).max(), 1e-5 * abs(expected).max())


class Reading(AdapterCase):
    def test_every_form_equals_what_numpy_merges(self):
        plain = random_matrices()
        named = self.logits(self.write_adapter("named", plain, {"base_model_name_or_path": str(self.base)}))
        expected = self.logits(self.merged_by_numpy(plain, 2))
        self.assertGreater(abs(expected - self.logits(self.base)).max(), 0.1)
        self.assert_close(named, expected)

        with_name = self.write_adapter("with-name", tensors=adapter_tensors(plain, ".default"))
        self.assert_close(self.logits(with_name, "--model-base", self.base), expected)

        as_bin = self.write_adapter("as-bin", plain)
        (as_bin / "adapter_model.safetensors").unlink()
        write_torch(as_bin / "adapter_model.bin", {
            name: ("F32", list(matrix.shape), matrix.tobytes()) for name, matrix in adapter_tensors(plain).items()})
        self.assert_close(self.logits(as_bin, "--model-base", self.base), expected)

        pattern = self.write_adapter("pattern", plain, {"target_modules": r".*\.(q|up|down)_proj"})
        self.assert_close(self.logits(pattern, "--model-base", self.base), expected)

        stabilised = self.write_adapter("stabilised", plain, {"use_rslora": True})
        self.assert_close(self.logits(stabilised, "--model-base", self.base),
                          self.logits(self.merged_by_numpy(plain, 8 / math.sqrt(4))))

    def test_modules_with_ranks_and_alphas_of_their_own(self):
        matrices = random_matrices({"mlp.up_proj": 6})
        adapter = self.write_adapter("own", matrices, {"rank_pattern": {"up_proj": 6}, "alpha_pattern": {"up_proj": 3}})
        scales = {"self_attn.q_proj": 2, "mlp.up_proj": 3 / 6, "mlp.down_proj": 2}
        self.assert_close(self.logits(adapter, "--model-base", self.base),
                          self.logits(self.merged_by_numpy(matrices, scales)))

    def test_without_b_it_is_the_base_to_the_bit(self):
        matrices = {module: (a, numpy.zeros_like(b)) for module, (a, b) in random_matrices().items()}
        adapter = self.write_adapter("zero", matrices)
        self.assertTrue((self.logits(adapter, "--model-base", self.base) == self.logits(self.base)).all())

    def test_llavas_whole_parameters_take_the_place_of_the_bases(self):
        plain = random_matrices()
        expected = self.merged_by_numpy(plain, 2)
        weights = safetensors.numpy.load_file(expected / "model.safetensors")
        ours = "model.mm_projector.image_spatial_proj."
        old = {name: weights[name] for name in weights if name.startswith(ours)}
        new = {name: tensor[..., ::-1].copy() for name, tensor in old.items()}
        safetensors.numpy.save_file(weights | new, expected / "model.safetensors")

        def as_torch(tensors, prefix):
            return {name.replace(ours, prefix): ("F32", list(tensor.shape), tensor.tobytes())
                    for name, tensor in tensors.items()}

        adapter = self.write_adapter("llava", plain)
        for prefix in (WRAPPER + "model.mm_projector.", WRAPPER + ours):
            write_torch(adapter / "non_lora_trainables.bin", as_torch(new, prefix))
            self.assert_close(self.logits(adapter, "--model-base", self.base), self.logits(expected))
        # A projector of its own goes before both.
        write_torch(self.folder / "mm_projector.bin", as_torch(old, "model.mm_projector."))
        self.assert_close(
            self.logits(adapter, "--model-base", self.base, "--mm-projector", self.folder / "mm_projector.bin"),
            self.logits(self.merged_by_numpy(plain, 2)))

    def test_merge_writes_an_ordinary_folder(self):
        adapter = self.write_adapter("to-merge")
        merged = self.folder / "merged"
        self.run_program("merge", "--model", adapter, "--model-base", self.base, "--out", merged)
        self.assert_close(self.logits(merged), self.logits(adapter, "--model-base", self.base))
        names = set(safetensors.numpy.load_file(merged / "model.safetensors"))
        self.assertEqual(names, set(safetensors.numpy.load_file(self.base / "model.safetensors")))
        again = self.run_program("merge", "--model", adapter, "--model-base", self.base, "--out", merged, code=2)
        self.assertIn("--out: already there", again.stderr)
        whole = self.run_program("merge", "--model", self.base, "--out", self.folder / "never", code=4)
        self.assertIn("no adapter's folder", whole.stderr)

    def test_inspect_and_tokenize_know_it(self):
        adapter = self.write_adapter("known", config={"base_model_name_or_path": str(self.base)})
        told = json.loads(self.run_program("inspect", adapter, "--json").stdout)
        parameters = sum(a.size + b.size for a, b in random_matrices().values())
        self.assertTrue(told["loads"])
        self.assertEqual(told["adapter"], {"base": str(self.base), "r": 4, "lora_alpha": 8, "parameters": parameters})
        self.assertIn("LoRA of rank 4, alpha 8", self.run_program("inspect", adapter).stdout)
        self.run_program("tokenize", "--model", adapter)


class Training(AdapterCase):
    """Adapters of a mixture of experts, on a dense base."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.adapter = cls.folder / "moe-adapter"
        done = cls.train(cls.adapter, "--lora_r", "4", "--lora_alpha", "8", "--learning_rate", "1e-2")
        assert done.returncode == 0, done.stderr

    @classmethod
    def train(cls, output, *extra):
        command = train_arguments(PROGRAM, cls.folder, output, "--lora_enable", "True", "--max_steps", "8", *extra)
        return subprocess.run(command, capture_output=True, text=True)

    def go_on(self, output, *extra):
        command = [PROGRAM, "train", "--stage", "finetune", "--model_name_or_path", self.base, "--lora_enable", "True",
                   "--lora_weight_path", self.adapter, "--data_path", self.folder / "data.json", "--image_folder",
                   self.folder / "images", "--output_dir", output, "--max_steps", "2", "--threads", "1", *extra]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True)

    def test_a_trained_adapter_makes_experts_of_its_base(self):
        with_adapter = self.logits(self.adapter)
        self.assertGreater(abs(with_adapter - self.logits(self.base)).max(), 1e-3)
        merged = self.folder / "merged"
        self.run_program("merge", "--model", self.adapter, "--out", merged)
        self.assert_close(self.logits(merged), with_adapter)
        self.assertEqual(json.loads((merged / "config.json").read_text())["model_type"], "moe_llava_llama")

    def losses(self, output):
        history = json.loads((output / "trainer_state.json").read_text())["log_history"]
        return [entry["loss"] for entry in history if "loss" in entry]

    def test_training_starts_where_the_adapter_ended(self):
        merged = self.folder / "merged-first"
        self.run_program("merge", "--model", self.adapter, "--out", merged)
        still = ("--learning_rate", "0", "--max_steps", "3")
        for output, extra in (("beside", ("--lora_dropout", "0")), ("within", ())):
            command = [PROGRAM, "train", "--stage", "finetune", "--model_name_or_path", merged, "--data_path",
                       self.folder / "data.json", "--image_folder", self.folder / "images", "--output_dir",
                       self.folder / output, "--threads", "1", *still]
            done = (self.go_on(self.folder / output, *still, *extra) if extra else
                    subprocess.run([str(word) for word in command], capture_output=True, text=True))
            self.assertEqual(done.returncode, 0, done.stderr)
        numpy.testing.assert_allclose(self.losses(self.folder / "beside"), self.losses(self.folder / "within"), rtol=1e-5)

    def test_training_goes_on_to_lower_losses(self):
        done = self.go_on(self.folder / "lower", "--learning_rate", "1e-2", "--max_steps", "24")
        self.assertEqual(done.returncode, 0, done.stderr)
        losses = self.losses(self.folder / "lower")
        self.assertLess(numpy.mean(losses[-4:]), 0.9 * numpy.mean(losses[:4]))

    def test_training_goes_on(self):
        done = self.go_on(self.folder / "further", "--learning_rate", "0", "--lora_dropout", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("adapter_model.safetensors", "non_lora_trainables.bin"):
            self.assertEqual((self.folder / "further" / name).read_bytes(), (self.adapter / name).read_bytes())
        done = self.go_on(self.folder / "moved", "--learning_rate", "1e-2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(abs(self.logits(self.folder / "moved") - self.logits(self.adapter)).max(), 1e-5)

    def test_flags_that_do_not_fit(self):
        for extra, expected in (
                (["--output_dir", self.adapter], "--output_dir: is the folder that --lora_weight_path names"),
                (["--model_name_or_path", self.adapter], "--model_name_or_path: is an adapter"),
                (["--lora_enable", "False"], "--lora_weight_path: only with --lora_enable True")):
            done = self.go_on(self.folder / "never", *extra)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(expected, done.stderr)
        done = self.run_program("dump", "--model", self.base, "--model-base", self.base, "--prompt", "x", "--out",
                                self.folder / "never", code=2)
        self.assertIn("--model-base: only for an adapter", done.stderr)

    def test_routers_must_be_there(self):
        broken = self.folder / "broken"
        shutil.copytree(self.adapter, broken)
        (broken / "non_lora_trainables.bin").unlink()
        done = self.run_program("dump", "--model", broken, "--prompt", "x", "--out", self.folder / "never", code=4)
        self.assertIn("non_lora_trainables.bin: no such file", done.stderr)


class Malformed(AdapterCase):
    def refused(self, adapter, *expected, code=3):
        done = self.run_program("dump", "--model", adapter, "--model-base", self.base, "--prompt", "x", "--out",
                                self.folder / "never", code=code)
        for text in expected:
            self.assertIn(text, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_configs(self):
        self.refused(self.write_adapter("config", config={"use_dora": True}),
                     "adapter_config.json: use_dora: not supported: found true, expected null, false or nothing")
        adapter = self.write_adapter("text")
        (adapter / "adapter_config.json").write_text("{")
        self.refused(adapter, "adapter_config.json: ")

    def test_a_base_of_another_size(self):
        wide = {name: numpy.zeros((4, 48), numpy.float32) if "lora_A" in name and "down" not in name else tensor
                for name, tensor in adapter_tensors(random_matrices()).items()}
        self.refused(self.write_adapter("wide", tensors=wide), f"adapters do not fit {self.base}: found ",
                     "model.layers.0.mlp.up_proj.lora_A.weight [4, 48] instead of [4, 32]")

    def test_cut_and_foreign_files(self):
        adapter = self.write_adapter("cut")
        path = adapter / "adapter_model.safetensors"
        whole = path.read_bytes()
        for length in (9, len(whole) - 1):
            path.write_bytes(whole[:length])
            self.refused(adapter, "adapter_model.safetensors: ")
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        self.refused(adapter, "adapter_model.safetensors: ", "Git LFS pointer")
        path.write_bytes(whole)
        (adapter / "non_lora_trainables.bin").write_bytes(b"PK\x03\x04 and no more")
        self.refused(adapter, "non_lora_trainables.bin: ")

    def test_whole_parameters_that_the_model_has_not(self):
        adapter = self.write_adapter("whole")
        name = "model.mm_projector.image_spatial_proj.4.weight"
        write_torch(adapter / "non_lora_trainables.bin", {WRAPPER + name: ("F32", [2, 2], bytes(16))})
        self.refused(adapter, "non_lora_trainables.bin: tensors do not fit the model: found 1 unexpected: " + name)
        name = "model.mm_projector.image_spatial_proj.2.bias"
        write_torch(adapter / "non_lora_trainables.bin", {WRAPPER + name: ("F32", [2, 2], bytes(16))})
        self.refused(adapter, name + " [2, 2] instead of [32]")

    def test_values_that_are_not_finite_are_found(self):
        tensors = adapter_tensors(random_matrices())
        tensors[next(iter(tensors))][0, 0] = numpy.nan
        adapter = self.write_adapter("nan", tensors=tensors)
        done = self.run_program("inspect", adapter, "--model-base", self.base, "--check", code=3)
        self.assertIn("adapter_model.safetensors", done.stderr)

    def test_files(self):
        adapter = self.write_adapter("no-base")
        done = self.run_program("dump", "--model", adapter, "--prompt", "x", "--out", self.folder / "never", code=4)
        self.assertIn("base_model_name_or_path: the model that the adapter belongs to is not there", done.stderr)
        self.assertIn("--model-base", done.stderr)
        done = self.run_program("dump", "--model", adapter, "--model-base", adapter, "--prompt", "x", "--out",
                                self.folder / "never", code=3)
        self.assertIn("is an adapter itself", done.stderr)
        (adapter / "adapter_model.safetensors").unlink()
        self.refused(adapter, "adapter_model.bin", code=4)

    def test_an_adapter_of_another_model(self):
        adapter = self.write_adapter("other")
        config = json.loads((self.base / "config.json").read_text())
        (adapter / "config.json").write_text(json.dumps(config | {"intermediate_size": INNER * 2}))
        self.refused(adapter, "the adapter belongs to another model than its base",
                     f"intermediate_size {INNER * 2} instead of {INNER}")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

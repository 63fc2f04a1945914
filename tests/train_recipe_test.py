#!/usr/bin/env python3
"""`moe-llava train` from outside: presets, experts of any number and place, going on with a finished model, steps that
are left out. Usage: train_recipe_test.py MOE_LLAVA"""
import json
import pathlib
import random
import subprocess
import sys
import unittest

from tiny_case import TinyFolderCase
from train_tiny_folder import HIDDEN, VOCAB, write_npy

PROGRAM = None
CONFIGS = pathlib.Path(__file__).resolve().parents[1] / "configs"


class TrainRecipe(TinyFolderCase):
    def run_train(self, name, *flags, model="model", data="data.json"):
        """A run of a few steps into the folder `name`, from the flags given and no others."""
        return subprocess.run(
            [PROGRAM, "train", "--model_name_or_path", self.folder / model, "--data_path", self.folder / data,
             "--image_folder", self.folder / "images", "--output_dir", self.folder / name, "--threads", "1",
             *map(str, flags)], capture_output=True, text=True, check=False)

    def trained(self, name, *flags, **keywords):
        done = self.run_train(name, *flags, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / name / "trainer_state.json").read_text())

    def refused(self, code, expected, *flags, **keywords):
        done = self.run_train("refused", *flags, **keywords)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(expected, done.stderr)

    def test_devices_are_looked_at_first(self):
        for expected, *flags in (
                ('--device: unknown device: found "gpu"', "--device", "gpu"),
                ("--ddp_backend nccl: carries the memory of GPUs", "--ddp_backend", "nccl", "--device", "cpu"),
                ('--ddp_backend: not allowed: found "gloo", expected one of nccl, mpi', "--ddp_backend", "gloo")):
            done = self.run_train("nowhere", "--stage", "2", *flags)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(expected, done.stderr)
            self.assertFalse((self.folder / "nowhere").exists())

    def moe(self, name):
        return json.loads((self.folder / name / "config.json").read_text())["moe"]

    def test_every_preset_trains(self):
        for preset in sorted(CONFIGS.glob("*.json")):
            flags = json.loads(preset.read_text())
            state = self.trained(preset.stem, "--config", preset, "--max_steps", 1, "--per_device_train_batch_size", 2,
                                 "--gradient_accumulation_steps", 1)
            settings = state["settings"]
            # gradient_checkpointing changes no bit, so a run may go on without it: it is not one of its settings.
            for key in flags.keys() - {"description", "per_device_train_batch_size", "gradient_accumulation_steps",
                                       "stage", "num_experts", "gradient_checkpointing"}:
                self.assertEqual(settings[key], flags[key], f"{preset.name}: {key}")
            self.assertEqual(settings["stage"], str(flags["stage"]))

    def test_published_presets_are_whole(self):
        for model in ("phi2", "stablelm", "qwen"):
            steps = {1: 256, 2: 128, 3: 128}
            for stage, samples in steps.items():
                flags = json.loads((CONFIGS / f"{model}-stage{stage}.json").read_text())
                self.assertEqual(flags["stage"], stage)
                self.assertEqual(flags["per_device_train_batch_size"] * flags["gradient_accumulation_steps"], samples)
                self.assertEqual(flags["learning_rate"], 1e-3 if stage == 1 else 2e-5)
                self.assertEqual(flags.get("group_by_modality_length", False), stage > 1)

    def test_a_typed_flag_goes_before_the_preset(self):
        preset = self.folder / "preset.json"
        preset.write_text(json.dumps({"stage": 3, "num_experts": [2], "learning_rate": 0.5, "max_steps": 1,
                                      "faithful_aux": True, "train_modules": ["up_proj"]}))
        settings = self.trained("typed", "--config", preset, "--learning-rate", "0.25")["settings"]
        self.assertEqual(settings["learning_rate"], 0.25)
        self.assertEqual(settings["num_experts"], [2])
        self.assertEqual(settings["train_modules"], ["up_proj"])
        self.assertTrue(settings["faithful_aux"])
        # Another stage: its own defaults, and flags of the preset that do nothing there are told.
        self.refused(2, f"{preset}: --num_experts: only for stage 3", "--config", preset, "--stage", "2")

    def test_a_bad_preset_is_named(self):
        preset = self.folder / "bad.json"
        for text, code, expected in (
                ('{"stage": 3, "lerning_rate": 1}', 3, 'unknown flag: found "lerning_rate" (did you mean learning_rate?)'),
                ('{"stage": 3, "config": "x"}', 3, 'unknown flag: found "config"'),
                ('[1]', 3, "no preset"), ('{"stage": 3,}', 3, "line 1"), ('{"stage": 3, "seed": {}}', 3, "seed: not a value"),
                ('{"stage": 3, "seed": null}', 3, "seed: not a value"), ('{"stage": 3, "seed": [1, 2]}', 3, "seed: a list"),
                ('{"stage": 7}', 2, "--stage: not allowed"), ('{"stage": 3, "seed": -1}', 2, "--seed: not allowed"),
                ('{"stage": 3, "bf16": "maybe"}', 2, "True or False"), ('{"seed": 3}', 2, "--stage: is required")):
            preset.write_text(text)
            self.refused(code, expected, "--config", preset)
            if "required" not in expected:
                self.refused(code, str(preset), "--config", preset)
        self.refused(4, "nowhere.json", "--config", self.folder / "nowhere.json")

    def test_layers_may_have_experts_of_their_own_number(self):
        self.trained("own_numbers", "--stage", 3, "--moe_mode", "dense", "--num_experts", 2, 3, "--max_steps", 2)
        self.assertEqual(self.moe("own_numbers")["num_experts"], [2, 3])
        state = self.trained("own_numbers_drawn", "--stage", "finetune", "--router_sampling", "gumbel", "--max_steps", 2,
                             model="own_numbers")
        self.assertEqual([len(load) for load in state["log_history"][0]["expert_load"]], [2, 3])
        self.refused(2, "--num_experts: not one number for each MoE layer", "--stage", 3, "--num_experts", 2, 3, 4)

    def test_any_number_of_experts_choices_and_places(self):
        for experts, choices, place in ((1, 1, "sparse"), (2, 1, "second_half"), (8, 2, "first_half"), (3, 3, "dense")):
            name = f"experts{experts}"
            history = self.trained(name, "--stage", 3, "--num_experts", experts, "--top_k_experts", choices, "--moe_mode",
                                   place, "--max_steps", 2, "--use_residual", experts == 2)["log_history"]
            self.assertEqual(self.moe(name)["top_k_experts"], choices)
            self.assertEqual(len(history[0]["expert_load"][0]), experts)
            answer = subprocess.run([PROGRAM, "chat", "--model", self.folder / name, "--prompt", "?", "--max-new-tokens",
                                     "2"], capture_output=True, text=True, check=False)
            self.assertEqual(answer.returncode, 0, answer.stderr)

    def test_a_finished_model_goes_on(self):
        first = self.trained("first", "--stage", 3, "--max_steps", 3)
        self.assertEqual(first["settings"]["top_k_experts"], 2)
        state = self.trained("second", "--stage", "finetune", "--max_steps", 3, "--capacity_factor", 0.5, model="first")
        self.assertEqual(self.moe("second"), self.moe("first") | {"capacity_factor": 0.5})
        self.assertGreater(max(state["log_history"][0]["dropped"]), 0.2)
        self.assertLess(max(first["log_history"][0]["dropped"]), 0.2)
        self.refused(3, "not a mixture of experts", "--stage", "finetune")
        self.refused(3, "already a mixture of experts", "--stage", 3, model="first")
        self.refused(2, "--num_experts: only for stage 3: found --stage finetune", "--stage", "finetune",
                     "--num_experts", 4, model="first")
        self.refused(2, "--top_k_experts: more than there are experts", "--stage", "finetune", "--top_k_experts", 5,
                     model="first")

    def test_a_frozen_projector_stays(self):
        self.trained("frozen", "--stage", 3, "--max_steps", 2, "--freeze_mm_mlp_adapter", "True", "--learning_rate", 0.1)
        self.assertEqual(self.projector("frozen"), self.projector("model"))
        self.trained("moved", "--stage", 3, "--max_steps", 2, "--learning_rate", 0.1)
        self.assertNotEqual(self.projector("moved"), self.projector("model"))

    def projector(self, name):
        data = (self.folder / name / "model.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        begin, end = json.loads(data[8:8 + size])["model.mm_projector.image_spatial_proj.0.weight"]["data_offsets"]
        return data[8 + size + begin:8 + size + end]

    def bad_embedding(self):
        """A model that cannot bear the letter Z, which one sample has."""
        rng = random.Random(5)
        (self.folder / "tensors").mkdir(exist_ok=True)
        values = [rng.uniform(-0.2, 0.2) for _ in range(VOCAB * HIDDEN)]
        values[ord("Z") * HIDDEN] = float("nan")
        write_npy(self.folder / "tensors/model.embed_tokens.weight.npy", [VOCAB, HIDDEN], values)
        records = json.loads((self.folder / "data.json").read_text())
        records[9]["conversations"][1]["value"] = "It is Z."
        data = self.folder / "bad_data.json"
        data.write_text(json.dumps(records))
        return ["--stage", 1, "--per_device_train_batch_size", 4, "--init_tensors", self.folder / "tensors",
                "--max_steps", 20, "--save_steps", 3]

    def test_a_bad_step_stops_the_run_and_the_same_command_may_go_on_without_it(self):
        flags = self.bad_embedding()
        stopped = self.run_train("bad", *flags, data="bad_data.json")
        self.assertEqual(stopped.returncode, 3, stopped.stderr)
        for part in ("step ", "the loss is not finite: found model.embed_tokens.weight", "sample 9", "no weight was changed"):
            self.assertIn(part, stopped.stderr)
        resumed = self.run_train("bad", *flags, "--on_nonfinite", "skip", data="bad_data.json")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.trained("bad_whole", *flags, "--on_nonfinite", "skip", data="bad_data.json")
        self.assertEqual((self.folder / "bad/model.safetensors").read_bytes(),
                         (self.folder / "bad_whole/model.safetensors").read_bytes())

    def test_a_bad_step_is_left_out_and_told(self):
        for what in ("skip", "rollback"):
            state = self.trained(f"bad_{what}", *self.bad_embedding(), "--on_nonfinite", what,
                                 data="bad_data.json")
            history = state["log_history"]
            self.assertEqual([entry["step"] for entry in history], list(range(1, 21)))
            bad = [entry for entry in history if entry.get("skipped")]
            self.assertEqual([(entry["step"] - 1) // 10 for entry in bad], [0, 1])  # once an epoch
            for entry in bad:
                self.assertNotIn("loss", entry)
                self.assertIn("sample 9", entry["samples"])
                self.assertEqual(entry["tensor"], "model.embed_tokens.weight")
                if what == "rollback":
                    self.assertEqual(entry["rolled_back_to"], (entry["step"] - 1) // 3 * 3)
            self.assertEqual(state["optimizer_updates"], self.updates({entry["step"] for entry in bad}, what))

    @staticmethod
    def updates(bad, what):
        """Of the optimiser after 20 steps with a checkpoint every third."""
        updates = saved = 0
        for step in range(1, 21):
            if step not in bad:
                updates += 1
            elif what == "rollback":
                updates = saved
            if step % 3 == 0:
                saved = updates
        return updates

    def test_weights_that_only_give_bad_steps_end_the_run(self):
        flags = self.bad_embedding()
        write_npy(self.folder / "tensors/model.embed_tokens.weight.npy", [VOCAB, HIDDEN],
                  [float("nan")] * (VOCAB * HIDDEN))
        done = self.run_train("hopeless", *flags, "--on_nonfinite", "skip", data="bad_data.json")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("step 11: the loss is not finite", done.stderr)
        self.assertIn("11 such steps in a row", done.stderr)

    def test_initial_tensors_must_fit(self):
        folder = self.folder / "unfit"
        folder.mkdir()
        self.refused(3, "holds no .npy file", "--stage", 1, "--init_tensors", folder)
        write_npy(folder / "nobody.npy", [2], [0, 0])
        self.refused(3, "the model has no such parameter", "--stage", 1, "--init_tensors", folder)
        (folder / "nobody.npy").unlink()
        write_npy(folder / "model.norm.weight.npy", [2], [0, 0])
        self.refused(3, "wrong shape: found [2], expected [32]", "--stage", 1, "--init_tensors", folder)

    def test_the_z_loss_is_told(self):
        history = self.trained("z_loss", "--stage", 3, "--router_z_loss_coef", 0.1, "--max_steps", 2)["log_history"]
        plain = self.trained("no_z_loss", "--stage", 3, "--max_steps", 2)["log_history"]
        self.assertAlmostEqual(history[0]["loss"], plain[0]["loss"] + 0.1 * plain[0]["z_loss"], 5)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

#!/usr/bin/env python3
"""`moe-llava train` from outside: a run, SIGTERM and going on, and what it refuses.
Usage: train_command_test.py MOE_LLAVA"""
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

from tiny_case import WholeRunCase

PROGRAM = None


class TrainCommand(WholeRunCase):
    def refused(self, code, expected, output, *extra):
        done = self.run_train(output, *extra)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(expected, done.stderr)

    def test_a_run_leaves_a_model_and_its_history(self):
        names = {path.name for path in self.whole.iterdir()}
        self.assertLessEqual({"config.json", "model.safetensors", "tokenizer.json", "trainer_state.json"}, names)
        self.assertEqual(sorted(name for name in names if name.startswith((".", "checkpoint"))), ["checkpoint-36"])
        self.assertEqual(json.loads((self.whole / "config.json").read_text())["moe"]["num_experts"], [3])
        history = json.loads((self.whole / "trainer_state.json").read_text())["log_history"]
        self.assertEqual([entry["step"] for entry in history], list(range(1, 41)))
        self.assertLess(sum(e["loss"] for e in history[-7:]), sum(e["loss"] for e in history[:7]))
        self.assertEqual(history[0]["learning_rate"], 0)  # warm-up
        for entry in history:
            for field in ("expert_load", "expert_load_text", "expert_load_image"):
                self.assertAlmostEqual(sum(entry[field][0]), 1, places=3)
            self.assertLessEqual(entry["router_entropy"][0], 1.585)  # log2 of three experts
            self.assertGreater(entry["aux_loss"], 0.9)

    @staticmethod
    def newest_step(output):
        names = [path.name for path in output.iterdir()] if output.exists() else []
        steps = [int(name.split("-")[1]) for name in names if name.startswith("checkpoint-") and name[-1].isdigit()]
        return max(steps, default=0)

    def under_way(self, output):
        """A run that would not end by itself, once it has saved a checkpoint."""
        before = self.newest_step(output)
        run = subprocess.Popen(self.arguments(output, "--max_steps", "100000"), stderr=subprocess.PIPE, text=True)
        while self.newest_step(output) == before and run.poll() is None:
            time.sleep(0.01)
        return run

    def stopped(self, output, number):
        run = self.under_way(output)
        run.send_signal(number)
        text = run.communicate(timeout=60)[1]
        return run.returncode, text

    def test_sigterm_saves_and_the_same_command_goes_on(self):
        output = self.folder / "terminated"
        code, text = self.stopped(output, signal.SIGTERM)
        self.assertEqual(code, 0, text)
        self.assertIn("stopped and saved", text)
        step = self.newest_step(output)
        newest = output / f"checkpoint-{step}"
        self.assertTrue((newest / "COMPLETE").exists())
        # Other settings are named one by one.
        self.refused(2, "learning_rate: 0.001, now 0.1; max_steps: 100000, now 40", output, "--learning_rate", "0.1")
        code, text = self.stopped(output, signal.SIGTERM)
        self.assertEqual(code, 0, text)
        self.assertIn(f"resumed from {newest}: step {step} of 100000", text)

    def test_sigusr1_saves_and_the_run_goes_on(self):
        output = self.folder / "saving"
        run = subprocess.Popen(self.arguments(output, "--max_steps", "100000", "--save_steps", "1000000"),
                               stderr=subprocess.PIPE, text=True)
        while not any(path.stat().st_size > 100 for path in output.glob("runs/*")) and run.poll() is None:
            time.sleep(0.01)  # until a step is logged
        run.send_signal(signal.SIGUSR1)
        while self.newest_step(output) == 0 and run.poll() is None:
            time.sleep(0.01)
        first = self.newest_step(output)
        run.send_signal(signal.SIGUSR1)
        while self.newest_step(output) == first and run.poll() is None:
            time.sleep(0.01)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGTERM)
        text = run.communicate(timeout=60)[1]
        self.assertEqual(run.returncode, 0, text)
        self.assertIn(f"saved {output}/checkpoint-{first}\n", text)

    def test_going_on_from_a_checkpoint_that_is_named(self):
        output = self.folder / "named"
        shutil.copytree(self.whole / "checkpoint-36", output / "checkpoint-36")
        for choice in ("True", str(output / "checkpoint-36")):
            done = self.run_train(output, "--resume_from_checkpoint", choice)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"resumed from {output}/checkpoint-36: step 36 of 40", done.stderr)
            self.assertEqual((output / "model.safetensors").read_bytes(), (self.whole / "model.safetensors").read_bytes())
            (output / "trainer_state.json").unlink()
        self.refused(2, "--resume_from_checkpoint False: the output folder holds checkpoints", output,
                     "--resume_from_checkpoint", "False")
        self.refused(2, "--resume_from_checkpoint True: there is no checkpoint", self.folder / "empty",
                     "--resume_from_checkpoint", "True")

    def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_taken(self):
        output = self.folder / "damaged"
        self.stopped(output, signal.SIGTERM)
        self.stopped(output, signal.SIGTERM)
        newest = output / f"checkpoint-{self.newest_step(output)}"
        with open(newest / "optimizer.safetensors", "r+b") as file:
            file.seek(-5, 2)
            byte = file.read(1)[0]
            file.seek(-5, 2)
            file.write(bytes([byte ^ 4]))
        code, text = self.stopped(output, signal.SIGTERM)
        self.assertEqual(code, 0, text)
        self.assertRegex(text, f"refused: {newest}/optimizer.safetensors: damaged: found CRC-32C [0-9a-f]+, expected")
        self.assertRegex(text, f"resumed from {output}/checkpoint-[0-9]+: step")

    def test_ctrl_c_ends_as_a_signal(self):
        code, text = self.stopped(self.folder / "interrupted", signal.SIGINT)
        self.assertEqual(code, -signal.SIGINT, text)
        self.assertIn("stopped and saved", text)

    def test_a_finished_run_is_not_overwritten_unasked(self):
        self.refused(2, "holds a finished run", self.whole)
        before = (self.whole / "model.safetensors").read_bytes()
        done = self.run_train(self.whole, "--overwrite_output_dir")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.whole / "model.safetensors").read_bytes(), before)  # the same seed

    def test_a_second_run_is_locked_out_and_changed_data_is_not_resumed(self):
        output = self.folder / "changed"
        run = self.under_way(output)
        locked = self.run_train(output)
        self.assertEqual(locked.returncode, 2)
        self.assertIn(f"locked by pid {run.pid}", locked.stderr)
        run.kill()
        run.communicate()
        data = self.folder / "data.json"
        text = data.read_text()
        data.write_text(text.replace("It is number 3.", "It is number 4."))
        try:
            self.refused(2, "belongs to a run on other data", output, "--max_steps", "100000")
        finally:
            data.write_text(text)

    def test_every_stage_runs_after_the_other(self):
        common = ["--data_path", str(self.folder / "data.json"), "--image_folder", str(self.folder / "images"),
                  "--max_steps", "2", "--threads", "1"]
        model = self.folder / "model"
        for stage in ("1", "2", "3"):
            output = self.folder / f"stage{stage}"
            done = subprocess.run([PROGRAM, "train", "--stage", stage, "--model_name_or_path", model, "--output_dir",
                                   output, *common], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((output / "mm_projector.bin").exists(), stage == "1")
            model = output
        # The projector of stage 1 also stands alone, for --pretrain_mm_mlp_adapter here and elsewhere.
        adapter = ["--pretrain_mm_mlp_adapter", self.folder / "stage1/mm_projector.bin"]
        for name, flags in (("after-stage1", []), ("with-adapter", adapter)):
            start = self.folder / ("model" if flags else "stage1")
            done = subprocess.run([PROGRAM, "train", "--stage", "2", "--model_name_or_path", start, "--output_dir",
                                   self.folder / name, *flags, *common], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "after-stage1/model.safetensors").read_bytes(),
                         (self.folder / "with-adapter/model.safetensors").read_bytes())

    def test_bad_values_name_flag_value_and_range(self):
        output = self.folder / "never"
        for flag, value, expected in (
                ("--learning_rate", "abc", "a number from 0 to 10"), ("--learning_rate", "nan", "a number from 0 to 10"),
                ("--learning_rate", "1e999", "a number from 0 to 10"), ("--learning_rate", "-1", "a number from 0 to 10"),
                ("--per_device_train_batch_size", "0", "an integer from 1 to 65536"),
                ("--per_device_train_batch_size", "99999999999", "an integer from 1 to 65536"),
                ("--num_experts", "1.5", "an integer from 1 to 256"), ("--capacity_factor", "0", "a number from"),
                ("--threads", "0", "an integer from 1 to 1024"), ("--threads", "10000", "an integer from 1 to 1024"),
                ("--moe_enable", "maybe", "True or False"), ("--lr_scheduler_type", "linear", "cosine or constant"),
                ("--image_aspect_ratio", "wide", "one of pad, square"), ("--save_total_limit", "1", "from 2 to 1000"),
                ("--moe_mode", "odd", "one of sparse, dense, first_half, second_half"),
                ("--moe_layers_idx", "40", "0 to 1"), ("--top_k_experts", "4", "at most 3, the experts of a layer"),
                ("--stage", "4", "1, 2, 3 or finetune"), ("--version", "nobody", "plain")):
            done = self.run_train(output, flag, value)
            self.assertEqual(done.returncode, 2, f"{flag} {value}: {done.stderr}")
            self.assertIn(flag, done.stderr)
            self.assertIn(value, done.stderr)
            self.assertIn(expected, done.stderr)
        self.refused(2, "only for stage 3", output, "--stage", "2")

    def test_a_required_flag_that_is_not_given_is_named(self):
        given = ["--stage", "3", "--model_name_or_path", "m", "--data_path", "d", "--output_dir", "o"]
        for flag in given[::2]:
            at = given.index(flag)
            done = subprocess.run([PROGRAM, "train", *given[:at], *given[at + 2:]], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{flag}: is required", done.stderr)

    def test_bad_data_stops_the_run(self):
        bad = self.folder / "bad.json"
        bad.write_text('[{"id": "x", "conversations": [{"from": "human", "value": "<image>"}]}]')
        self.refused(3, 'record 0, id "x": wrong number of <image> markers', self.folder / "bad", "--data_path", str(bad))


if __name__ == "__main__":
    PROGRAM = WholeRunCase.program = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

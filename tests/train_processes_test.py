#!/usr/bin/env python3
"""`moe-llava train` in several processes, by real mpirun: the numbers of one process, checkpoints that go on in another
number of processes, and an end of all when one of them dies or stands still.
Usage: train_processes_test.py MOE_LLAVA"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

from processes import alive, children, in_processes, needs_mpirun, run, wait_until
from tiny_case import TinyFolderCase
from train_tiny_folder import train_arguments

PROGRAM = None
STEPS = 20
ENDLESS = 100000  # steps of a run that would not end by itself


@needs_mpirun
class TrainInProcesses(TinyFolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.folder / "whole"
        cls.finish(1, 4, cls.whole)

    @classmethod
    def command(cls, processes, accumulation, output, *extra, steps=STEPS, experts=3):
        arguments = train_arguments(
            PROGRAM, cls.folder, output, "--gradient_accumulation_steps", str(accumulation), "--max_steps", str(steps),
            "--max_grad_norm", "1", *extra)
        arguments[arguments.index("--num_experts") + 1] = str(experts)
        return in_processes(processes, arguments)

    @classmethod
    def finish(cls, processes, accumulation, output, *extra, experts=3):
        done = run(cls.command(processes, accumulation, output, *extra, experts=experts))
        assert done.returncode == 0, done.stderr
        return done.stderr

    @staticmethod
    def history(output):
        return json.loads((output / "trainer_state.json").read_text())["log_history"]

    @staticmethod
    def weights(output):
        return (output / "model.safetensors").read_bytes()

    def test_the_bits_do_not_depend_on_the_number_of_processes(self):
        for processes, accumulation in ((2, 2), (4, 1)):
            output = self.folder / f"in{processes}"
            text = self.finish(processes, accumulation, output)
            self.assertEqual(text.count("samples,"), 1, text)  # only the first process speaks
            self.assertEqual(self.history(output), self.history(self.whole))
            self.assertEqual(self.weights(output), self.weights(self.whole))

    def test_other_shares_agree_closely(self):
        # Three micro-batches a process: the sums of two and of one process have another order.
        one, two = self.folder / "six", self.folder / "three"
        self.finish(1, 6, one)
        self.finish(2, 3, two)
        for a, b in zip(self.history(one), self.history(two), strict=True):
            for field in ("loss", "aux_loss", "grad_norm"):
                self.assertAlmostEqual(a[field] / b[field], 1, delta=1e-6, msg=f"step {a['step']} {field}")

    def test_experts_spread_over_processes_change_nothing(self):
        # Four experts, so that two processes share them; sums have another order than in one.
        one = self.folder / "experts1"
        self.finish(1, 4, one, experts=4)
        for processes, accumulation, ep_size in ((2, 2, 2), (4, 1, 2)):
            output = self.folder / f"experts{processes}"
            self.finish(processes, accumulation, output, "--ep_size", str(ep_size), experts=4)
            for a, b in zip(self.history(one), self.history(output), strict=True):
                for field in ("loss", "aux_loss", "grad_norm"):
                    self.assertAlmostEqual(a[field] / b[field], 1, delta=1e-6, msg=f"step {a['step']} {field}")
                self.assertEqual(a["dropped"], b["dropped"])
            self.assertEqual(len(self.weights(one)), len(self.weights(output)))
            # Layers that are computed again send their tokens again.
            again = self.folder / f"again{processes}"
            self.finish(processes, accumulation, again, "--ep_size", str(ep_size), "--gradient_checkpointing", "True",
                        experts=4)
            self.assertEqual(self.weights(again), self.weights(output))
        refused = run(self.command(2, 2, self.folder / "never", "--ep_size", "2"))  # three experts
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--ep_size: does not divide the number of experts", refused.stderr)

    def started(self, processes, accumulation, output, *extra, steps=STEPS, experts=3):
        """A run that has saved a checkpoint since; its mpirun (or itself) and its processes by rank."""
        def newest():
            steps_saved = [int(path.name.split("-")[1]) for path in output.glob("checkpoint-*") if path.suffix != ".tmp"]
            return max(steps_saved, default=0)
        before = newest()
        process = subprocess.Popen(self.command(
            processes, accumulation, output, "--save_steps", "2", *extra, steps=steps, experts=experts),
                                   stderr=subprocess.PIPE, text=True)
        wait_until(lambda: newest() > before or process.poll() is not None, 60, "a checkpoint")
        self.assertIsNone(process.poll(), process.communicate()[1] if process.poll() is not None else "")
        return process, children(process.pid)

    def test_a_run_goes_on_in_another_number_of_processes(self):
        # The same steps in one process, then in two, in two that share the experts, and in one again.
        steps, output, whole = 300, self.folder / "moving", self.folder / "staying"
        done = run(self.command(1, 2, whole, steps=steps, experts=4))
        self.assertEqual(done.returncode, 0, done.stderr)
        for processes, accumulation, extra in ((1, 2, ()), (2, 1, ()), (2, 1, ("--ep_size", "2"))):
            process, ranks = self.started(processes, accumulation, output, *extra, steps=steps, experts=4)
            process.kill()
            process.communicate()
            wait_until(lambda pids=ranks: not any(map(alive, pids)), 10, "the end of the processes")
        done = run(self.command(1, 2, output, steps=steps, experts=4))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resumed from", done.stderr)
        self.assertEqual(self.weights(output), self.weights(whole))

    def test_a_process_that_dies_ends_all_and_the_run_goes_on_later(self):
        for rank in (0, 1):
            process, ranks = self.started(2, 1, self.folder / "dies", steps=ENDLESS)
            start = time.monotonic()
            os.kill(ranks[rank], signal.SIGKILL)
            text = process.communicate(timeout=30)[1]
            self.assertLess(time.monotonic() - start, 10, text)
            self.assertNotEqual(process.returncode, 0)
            self.assertIn(f"rank {rank}", text)
            wait_until(lambda pids=ranks: not any(map(alive, pids)), 2, "the end of the processes")

    def test_a_process_that_stands_still_ends_all(self):
        process, ranks = self.started(2, 1, self.folder / "stands", steps=ENDLESS)
        time.sleep(1.5)  # until it has told that it is at work
        start = time.monotonic()
        os.kill(ranks[1], signal.SIGSTOP)
        text = process.communicate(timeout=30)[1]
        self.assertLess(time.monotonic() - start, 10, text)
        self.assertNotEqual(process.returncode, 0)
        self.assertRegex(text, r"error: rank 1 of 2 on host \S+: no sign of life for \d+ s; it was last seen at step [1-9]")
        wait_until(lambda: not any(map(alive, ranks)), 2, "the end of the processes")

    def test_a_signal_saves_and_ends_all(self):
        output = self.folder / "signalled"
        process, _ = self.started(2, 1, output, steps=ENDLESS)
        process.send_signal(signal.SIGUSR2)  # mpirun passes it on
        text = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 0, text)
        self.assertEqual(text.count("stopped and saved"), 1, text)

    def test_a_failure_is_told_once_with_its_exit_code(self):
        bad = self.folder / "bad.json"
        bad.write_text('[{"id": "x", "conversations": [{"from": "human", "value": "<image>"}]}]')
        done = run(self.command(2, 1, self.folder / "never", "--data_path", str(bad)))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stderr.count("wrong number of <image> markers"), 1, done.stderr)
        self.assertIn("error: rank 0 of 2", done.stderr)

    def test_torchrun_on_one_machine_hands_over_to_mpirun(self):
        output = self.folder / "torchrun"
        command = self.command(1, 2, output)
        variables = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        ranks = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | variables | {
            "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]
        for process in ranks:
            text = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 0, text)
        self.assertEqual(self.weights(output), self.weights(self.whole))
        refused = run(command, env=os.environ | variables | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4"})
        self.assertEqual(refused.returncode, 2)
        self.assertIn("use mpirun or srun", refused.stderr)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

#!/usr/bin/env python3
"""`moe-llava train`: the same seed and number of threads give the same bits, and other numbers of threads the same
losses within 1e-6.   Usage: train_threads_test.py MOE_LLAVA"""
import json
import os
import subprocess
import sys
import unittest

from tiny_case import TinyFolderCase

PROGRAM = None
STEPS = 20


class Threads(TinyFolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([PROGRAM, "make-random", "--like", "stablelm-1.6b-4e", "--tiny", cls.folder / "random"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def train(cls, name, threads):
        """Log and weights of a run."""
        output = cls.folder / name
        # OMP_NUM_THREADS must not be what decides.
        subprocess.run([PROGRAM, "train", "--stage", "finetune", "--model_name_or_path", cls.folder / "random", "--data_path",
                        cls.folder / "data.json", "--image_folder", cls.folder / "images", "--output_dir", output,
                        "--per_device_train_batch_size", "8", "--learning_rate", "1e-3", "--max_grad_norm", "1",
                        "--max_steps", str(STEPS), "--threads", str(threads)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"})
        log = json.loads((output / "trainer_state.json").read_text())["log_history"]
        return log, (output / "model.safetensors").read_bytes()

    def test_equal_threads_give_equal_bits_and_others_close_ones(self):
        logs = []
        for threads, repeats in ((1, 2), (2, 3), (4, 1)):
            log, weights = self.train(f"{threads}.0", threads)
            for repeat in range(1, repeats):
                again = self.train(f"{threads}.{repeat}", threads)
                self.assertEqual(again[0], log)
                self.assertTrue(again[1] == weights, f"{threads} threads: other weights the {repeat + 1}. time")
            logs.append(log)
        worst = 0
        for log in logs[1:]:
            for one, other in zip(logs[0], log, strict=True):
                for field in ("loss", "aux_loss"):
                    worst = max(worst, abs(one[field] / other[field] - 1))
        print(f"1, 2 and 4 threads over {STEPS} steps: at most {worst:.1e} apart")
        self.assertLess(worst, 1e-6)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

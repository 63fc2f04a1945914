#!/usr/bin/env python3
"""`moe-llava train --dry_run`: what it tells, that it leaves nothing, and how near it comes to what a run needs.
Usage: dry_run_test.py MOE_LLAVA"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import train_tiny_folder
from tiny_case import TinyFolderCase
from train_tiny_folder import TOWER, train_arguments

PROGRAM = None
LARGEST_ERROR = 0.25  # of the memory that is foretold


def plan(folder, *extra, code=0):
    """stdout of a dry run; checks that it leaves neither an output folder nor anything in the cache."""
    cache, output = folder / "cache", folder / "planned"
    done = subprocess.run(train_arguments(PROGRAM, folder, output, "--dry_run", "True", *extra), capture_output=True,
                          text=True, env=os.environ | {"XDG_CACHE_HOME": str(cache)})
    assert done.returncode == code, done.stderr
    assert not output.exists() and not cache.exists()
    return done.stdout if code == 0 else done.stderr


def gigabytes(text, name):
    return float(re.search(rf"^  {name} +([\d.]+) GB", text, re.M).group(1))


class DryRun(TinyFolderCase):
    def test_it_tells_what_the_run_will_do(self):
        text = plan(self.folder)
        self.assertIn("stage 3, planned: nothing was trained or written", text)
        # 40 samples; 10 pictures, 40 steps of 3 x 2 samples.
        self.assertRegex(text, r"data +40 samples, 10 pictures, 40 steps of 6 samples")
        self.assertRegex(text, r"at once +at most 3 samples of \d+ positions")
        self.assertRegex(text, r"all steps +\d\d:\d\d")

    def test_it_refuses_what_the_run_would_refuse(self):
        self.assertIn("--top_k_experts: more than there are experts", plan(self.folder, "--top_k_experts", "4", code=2))
        self.assertIn("no_such.json", plan(self.folder, "--data_path", "no_such.json", code=4))


class MemoryForetold(unittest.TestCase):
    """A model large enough that its tensors, and not the program, decide."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        config = train_tiny_folder.TEXT_CONFIG | {"hidden_size": 256, "intermediate_size": 1024}
        with unittest.mock.patch.multiple(train_tiny_folder, HIDDEN=256, INNER=1024, TEXT_CONFIG=config):
            train_tiny_folder.write_model(cls.folder / "model")
        train_tiny_folder.write_data(cls.folder, samples=48)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def needed(self, *extra):
        """Bytes resident at most of a real run."""
        process = subprocess.Popen(
            train_arguments(PROGRAM, self.folder, self.folder / "run", "--overwrite_output_dir", "True", *extra),
            stderr=subprocess.PIPE)
        text = process.stderr.read()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, text)
        return usage.ru_maxrss * 1024

    def test_a_run_needs_what_was_foretold(self):
        activations = {}
        for recompute in ("False", "True"):
            extra = ("--per_device_train_batch_size", "24", "--gradient_accumulation_steps", "1", "--max_steps", "2",
                     "--gradient_checkpointing", recompute)
            text = plan(self.folder, *extra)
            activations[recompute] = gigabytes(text, "activations")
            foretold, found = gigabytes(text, "at most") * 1e9, self.needed(*extra)
            self.assertLess(abs(foretold / found - 1), LARGEST_ERROR, f"{recompute}: {found / 1e9} GB\n{text}")
        self.assertLess(activations["True"], activations["False"] / 4)

    def test_of_adapters_little_is_trained_and_written(self):
        extra = ("--per_device_train_batch_size", "24", "--gradient_accumulation_steps", "1", "--max_steps", "2",
                 "--lora_enable", "True", "--lora_r", "512")
        text = plan(self.folder, *extra)
        # Three experts in one layer and one feed-forward in the other; the projector and the router.
        trained = (3 + 1) * 3 * 512 * (256 + 1024) + 256 * (TOWER + 1) + 256 * (256 + 1) + 3 * 256
        self.assertIn(f"{trained / 1e6:.1f} million of them trained", text)
        for name, times in (("gradients", 1), ("optimiser", 2), ("checkpoint", 3), ("model", 1)):
            self.assertAlmostEqual(gigabytes(text, name), 4e-9 * times * trained, delta=0.0051, msg=name)
        foretold, found = gigabytes(text, "at most") * 1e9, self.needed(*extra)
        self.assertLess(abs(foretold / found - 1), LARGEST_ERROR, f"{found / 1e9} GB\n{text}")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

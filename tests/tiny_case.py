"""Test cases that share one folder with the tiny model and its data, or with what was trained of them."""
import pathlib
import subprocess
import tempfile
import unittest

from train_tiny_folder import train_arguments, write_all


class TinyFolderCase(unittest.TestCase):
    """`folder` holds what write_all() writes."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        write_all(cls.folder)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()


class TrainedModelCase(TinyFolderCase):
    """`model` is trained by `program`, which must be set before the tests run."""
    program = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.folder / "moe"
        trained = subprocess.run(train_arguments(cls.program, cls.folder, cls.model), capture_output=True, text=True)
        assert trained.returncode == 0, trained.stderr

    def run_program(self, *arguments, code=0):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

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


class WholeRunCase(TinyFolderCase):
    """`whole` is the output of an undisturbed run of `program`, which must be set before the tests run, with `flags`."""
    program = None
    flags = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.folder / "whole"
        done = cls.run_train(cls.whole)
        assert done.returncode == 0, done.stderr

    @classmethod
    def arguments(cls, output, *extra):
        return train_arguments(cls.program, cls.folder, output, *cls.flags, *extra)

    @classmethod
    def run_train(cls, output, *extra):
        return subprocess.run(cls.arguments(output, *extra), capture_output=True, text=True)


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

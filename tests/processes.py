"""Starting a command in several processes, and finding them."""
import pathlib
import shutil
import subprocess
import time
import unittest

MPIRUN = shutil.which("mpirun")
needs_mpirun = unittest.skipUnless(MPIRUN, "mpirun is not installed (tools/fetch.sh packages)")


def in_processes(count, command):
    """Also as root, on fewer cores than processes, in a container whose processes may not read each other's memory."""
    if count == 1:
        return command
    return [MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
            "--mca", "btl_vader_single_copy_mechanism", "none", "-n", str(count), *command]


def children(pid):
    """The processes that mpirun started, in the order of their ranks."""
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)

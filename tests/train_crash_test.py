#!/usr/bin/env python3
"""`moe-llava train` killed by strace at a chosen write, fsync, rename or unlink of a run that saves; and a disk that
fills up while a run goes on. Afterwards the same command ends with the weights of an undisturbed run.

The suite tries a few calls; `--all` tries every one.
"""
import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from train_tiny_folder import train_arguments, write_all

CALLS = ("write", "fsync", "rename", "unlink", "mkdir", "rmdir")
SHORT = ("--max_steps", "5", "--save_steps", "2")
SKIPPED = 77


def can_trace():
    try:
        done = subprocess.run(["strace", "-o", os.devnull, "-e", "trace=write", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def can_mount():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


class Crashes:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        write_all(folder)
        whole = folder / "whole"
        assert subprocess.run(self.command(whole), stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.expected = (whole / "model.safetensors").read_bytes()

    def command(self, output, *extra):
        return train_arguments(self.program, self.folder, output, *SHORT, *extra)

    def count_calls(self):
        """How often a whole run makes each of the calls."""
        trace = self.folder / "trace"
        subprocess.run(["strace", "-o", trace, "-e", "trace=" + ",".join(CALLS), *self.command(self.folder / "counted")],
                       stderr=subprocess.DEVNULL, check=True)
        names = re.findall(r"^(\w+)\(", trace.read_text(encoding="utf-8", errors="replace"), re.M)
        return {call: names.count(call) for call in CALLS}

    def go_on(self, output, what):
        done = subprocess.run(self.command(output), capture_output=True, text=True, check=False)
        finished = done.returncode == 2 and "holds a finished run" in done.stderr
        assert done.returncode == 0 or finished, f"{what}: exit {done.returncode}\n{done.stderr}"
        assert (output / "model.safetensors").read_bytes() == self.expected, f"{what}: other weights"
        return "resumed from" in done.stderr

    def crash_at(self, call, number):
        output = self.folder / f"{call}{number}"
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        done = subprocess.run(["strace", "-o", os.devnull, "-e", f"trace={call}", "-e", inject, *self.command(output)],
                              stderr=subprocess.DEVNULL, check=False)
        assert done.returncode != 0, f"{call} {number}: was not killed"
        return self.go_on(output, f"killed at {call} {number}")

    def full_disk(self):
        """A disk of its own that fills once two checkpoints stand on it."""
        disk = self.folder / "disk"
        disk.mkdir()
        script = """
            mount -t tmpfs -o size=8m none "$DISK" || exit 99
            "$@" 2> "$DISK.log" & run=$!
            while [ ! -e "$DISK/out/checkpoint-4/COMPLETE" ]; do sleep 0.01; kill -0 $run || exit 98; done
            cat /dev/zero > "$DISK/filler" 2> /dev/null
            wait $run; echo "status $?" >> "$DISK.log"
            ls "$DISK/out" >> "$DISK.log"
            rm "$DISK/filler"
            cp -r "$DISK/out" "$DISK.out"
        """
        subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *self.command(disk / "out", "--max_steps", "100000")],
                       env=os.environ | {"DISK": str(disk)}, check=True)
        log = (self.folder / "disk.log").read_text()
        assert "status 4" in log and "No space left on device" in log, log
        # What was saved before is whole: the newest is taken, and nothing had to be refused.
        done = subprocess.run(self.command(self.folder / "disk.out", "--max_steps", "100000", "--learning_rate", "2e-3"),
                              capture_output=True, text=True, check=False)
        assert re.search(r"checkpoint-\d+: belongs to a run with other settings", done.stderr), done.stderr
        assert "refused" not in done.stderr, done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--all", action="store_true", help="every call of a run, not only a few")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    tracing, mounting = can_trace(), can_mount()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        crashes = Crashes(options.program, pathlib.Path(name))
        if mounting:
            crashes.full_disk()
            print("full disk: exit 4, earlier checkpoints whole")
        else:
            print("full disk: skipped, a tmpfs cannot be mounted here")
        if not tracing:
            print("crashes: skipped, strace is missing or may not trace")
            sys.exit(0 if mounting else SKIPPED)
        counts = crashes.count_calls()
        points = [(call, number + 1) for call in CALLS for number in range(counts[call])]
        print("calls of a run:", counts)
        if not options.all:
            points = random.Random(options.seed).sample(points, 6)
        resumed = sum(crashes.crash_at(*point) for point in points)
        print(f"{len(points)} crashes, {resumed} of them after a checkpoint; every run ended with equal weights")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""kill -9 at random moments of short runs of `moe-llava train`, in every stage: whatever was lost, the same command
given again ends with the weights, the optimiser and the losses of the run that nobody disturbed, bit for bit.

The suite kills a few times; `--kills 30` is for an afternoon.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import tempfile
import time

from train_tiny_folder import train_arguments, write_all

ATTEMPTS_PER_KILL = 6  # far more than needed: a run that cannot finish must not loop for ever


def outcome(output):
    """What a finished run leaves that must not depend on how often it was killed."""
    newest = max((path for path in output.glob("checkpoint-*")), key=lambda path: int(path.name.split("-")[1]))
    files = [output / "model.safetensors", newest / "model.safetensors", newest / "optimizer.safetensors"]
    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    return [path.read_bytes() for path in files], history


def kill_session(leader):
    """kill -9 of every process of the session. mpirun gives each rank a process group of its own."""
    while True:
        pids = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rsplit(")", 1)[1].split()[:4]
            except OSError:  # ended in the meantime
                continue
            if int(session) == leader and state != "Z":
                pids.append(int(stat.parent.name))
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Stage:
    """Runs of one stage, all of the same command but for the output folder."""

    def __init__(self, options, folder, stage):
        self.options, self.folder, self.stage = options, folder, stage

    def start(self, output, log):
        command = [*shlex.split(self.options.launch), *train_arguments(self.options.program, self.folder, output,
                                                                       stage=self.stage)]
        return subprocess.Popen(command, stderr=log, start_new_session=True)

    def wait_or_kill(self, run, seconds):
        """The exit status, or None when the run and all its processes were killed."""
        try:
            return run.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_session(run.pid)
            run.wait()
            return None

    def check(self, rng):
        whole = self.folder / f"whole{self.stage}"
        begin = time.monotonic()
        assert self.start(whole, subprocess.DEVNULL).wait() == 0
        duration = time.monotonic() - begin
        expected = outcome(whole)

        kills, finished, resumed = 0, 0, 0
        for attempt in range(ATTEMPTS_PER_KILL * self.options.kills + 2):
            output = self.folder / f"killed{self.stage}.{finished}"
            with open(self.folder / "stderr", "w+", encoding="utf-8") as log:
                run = self.start(output, log)
                # Once there were kills enough, the run may end.
                enough = kills >= self.options.kills
                code = self.wait_or_kill(run, None if enough else rng.uniform(0.1, 1.0) * duration)
                log.seek(0)
                text = log.read()
            kills += code is None
            resumed += "resumed from" in text
            if code is None:
                continue
            # Killed between the last write and the exit: the run had finished.
            assert code == 0 or (code == 2 and "holds a finished run" in text), f"attempt {attempt}: exit {code}\n{text}"
            assert outcome(output) == expected, f"attempt {attempt}: another outcome\n{text}"
            finished += 1
            if enough:
                break
        print(f"stage {self.stage}: {kills} kills, {resumed} resumes, {finished} runs finished, all with equal bits; "
              f"one run takes {duration:.1f} s", flush=True)
        assert kills >= self.options.kills and finished >= 1
        return resumed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--kills", type=int, default=4, help="of each stage (default 4)")
    parser.add_argument("--stage", type=int, nargs="+", default=[1, 2, 3], help="default 1 2 3")
    parser.add_argument("--launch", default="", help='words before the command: "mpirun -n 2"')
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_all(folder)
        resumed = sum(Stage(options, folder, stage).check(rng) for stage in options.stage)
        assert resumed >= 1, "no run was killed between its first checkpoint and its end"


if __name__ == "__main__":
    main()

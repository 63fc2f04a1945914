#!/usr/bin/env python3
"""kill -9 at random moments of a short run of `moe-llava train`: whatever was lost, the same command given again ends
with the weights of the run that nobody disturbed, bit for bit.   Usage: train_kill_test.py MOE_LLAVA"""
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from train_tiny_folder import train_arguments, write_all

KILLS = 10
ATTEMPTS = 60  # far more than needed: a run that cannot finish must not loop for ever


def main():
    program = pathlib.Path(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_all(folder)
        start = time.monotonic()
        subprocess.run(train_arguments(program, folder, folder / "whole"), check=True, stderr=subprocess.DEVNULL)
        duration = time.monotonic() - start
        expected = (folder / "whole" / "model.safetensors").read_bytes()

        kills, finished, resumed = 0, 0, 0
        for attempt in range(ATTEMPTS):
            if kills >= KILLS and finished:
                break
            output = folder / f"killed{finished}"
            with open(folder / "stderr", "w+") as log:
                run = subprocess.Popen(train_arguments(program, folder, output), stderr=log)
                try:
                    # Once there were kills enough, the run may end.
                    code = run.wait(rng.uniform(0.1, 1.0) * duration if kills < KILLS else None)
                except subprocess.TimeoutExpired:
                    run.kill()
                    run.wait()
                    kills += 1
                    code = None
                log.seek(0)
                text = log.read()
            resumed += "resumed from" in text
            if code is None:
                continue
            # Killed between the last write and the exit: the run had finished.
            assert code == 0 or (code == 2 and "holds a finished run" in text), f"attempt {attempt}: exit {code}\n{text}"
            assert (output / "model.safetensors").read_bytes() == expected, f"attempt {attempt}: other weights\n{text}"
            finished += 1
        print(f"{kills} kills, {resumed} resumes, {finished} runs finished with equal weights; one run takes {duration:.1f} s")
        assert kills >= KILLS and finished >= 1 and resumed >= 1, text


if __name__ == "__main__":
    main()

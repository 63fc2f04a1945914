#!/usr/bin/env python3
"""The ablations of the MoE-LLaVA paper in small: the same data, steps and questions for every variant, several seeds.

For each seed stages 1 and 2 are trained once; every variant then trains its own stage 3 and answers the held-out
questions. Finished runs are not repeated, interrupted ones go on: give the same command again.
"""
import argparse
import csv
import dataclasses
import json
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time

LAST_SHARE = 0.1  # of the losses, whose mean is the final loss


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is trained on top of stage `after`, on the data of these stages together."""
    name: str
    flags: tuple[str, ...] = ()
    after: int = 2
    data: tuple[int, ...] = (3,)


def experts(count: int, chosen: int = 2) -> tuple[str, ...]:
    return "--num_experts", str(count), "--top_k_experts", str(min(count, chosen))


BASE = experts(4)
MOE_TUNING = Variant("dense 2, then MoE 3 (MoE-Tuning)", BASE)
# Every group holds MoE-Tuning under the name that it has there; it is trained once.
GROUPS = {
    "stages": ("Stages", [
        MOE_TUNING,
        Variant("MoE without stage 2", BASE, after=1, data=(2, 3)),
        Variant("dense 2, then dense 3", ("--moe_enable", "False")),
        Variant("dense without stage 2", ("--moe_enable", "False"), after=1, data=(2, 3))]),
    "top_k": ("Experts of a token", [Variant("k = 1", experts(4, 1)), Variant("k = 2", BASE)]),
    "experts": ("Experts of a layer", [Variant(f"E = {count}", experts(count)) for count in (1, 2, 4, 8)]),
    "placement": ("MoE layers", [
        Variant("first half", (*BASE, "--moe_mode", "first_half")),
        Variant("second half", (*BASE, "--moe_mode", "second_half")),
        Variant("every second", BASE),
        Variant("all", (*BASE, "--moe_mode", "dense"))]),
    "trained": ("Trained parts", [
        Variant("MoE layers", (*BASE, "--train_modules", "deepspeed_moe")),
        Variant("all feed-forwards and MoE layers", BASE),
        Variant("the whole decoder", (*BASE, "--train_modules", "model.", "lm_head"))]),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example (data as demo.sh builds it; hours on a small machine):\n"
               "  tools/ablate.py --program build/release/moe-llava --data demo-run/data --llm smollm2.gguf \\\n"
               "      --tower efficientnet-lite0.pth --out ablations --seeds 3")
    parser.add_argument("--program", type=pathlib.Path, required=True, help="moe-llava")
    parser.add_argument("--data", type=pathlib.Path, required=True,
                        help="folder with stage1.json, stage2.json, stage3.json, images/, test.jsonl and test_images/")
    parser.add_argument("--llm", type=pathlib.Path, required=True, help="language model to start from")
    parser.add_argument("--tower", type=pathlib.Path, required=True, help="vision tower")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the runs, table.md and table.csv")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every variant (default 3)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="these groups (default all)")
    parser.add_argument("--steps", type=int, nargs=3, metavar=("S1", "S2", "S3"), default=(-1, -1, -1),
                        help="steps of the three stages (default -1: one epoch); a variant that skips stage 2 gets "
                             "S2 + S3")
    parser.add_argument("--limit", type=int, default=600, help="held-out questions asked (default 600)")
    parser.add_argument("--stage-flags", nargs=3, metavar=("F1", "F2", "F3"),
                        default=("--version chatml --learning_rate 2e-3",
                                 "--version chatml --learning_rate 4e-4 --mm_projector_lr 1e-3",
                                 "--learning_rate 2e-4"),
                        help="further flags of each stage, one quoted word each (default: those of demo.sh)")
    parser.add_argument("--keep-models", action="store_true",
                        help="keep the weights of scored variants (gigabytes each; default: only their scores)")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds: expected at least 1")
    return arguments


class Laboratory:
    """Trains and scores, unless that was done before."""

    def __init__(self, arguments: argparse.Namespace, total: int):
        self.arguments, self.total, self.done, self.begin = arguments, total, 0, time.monotonic()

    def say(self, what: str) -> None:
        self.done += 1
        print(f"[{self.done}/{self.total}] {(time.monotonic() - self.begin) / 60:.1f} min  {what}", file=sys.stderr)

    def run(self, *words) -> None:
        done = subprocess.run([str(word) for word in (self.arguments.program, *words)], stdout=subprocess.DEVNULL,
                              check=False)
        if done.returncode != 0:
            sys.exit(f"ablate: exit {done.returncode} of: moe-llava {shlex.join(map(str, words))}")

    def train(self, stage: int, model: pathlib.Path, data: tuple[int, ...], out: pathlib.Path, seed: int, *flags) -> None:
        self.say(f"train {out}")
        if (out / "trainer_state.json").exists():
            return
        folder, steps = self.arguments.data, [self.arguments.steps[number - 1] for number in data]
        self.run("train", "--stage", stage, "--model_name_or_path", model, "--output_dir", out, "--seed", seed,
                 "--data_path", *(folder / f"stage{number}.json" for number in data),
                 "--image_folder", folder / "images", "--max_steps", -1 if min(steps) < 0 else sum(steps),
                 "--report_to", "none", *shlex.split(self.arguments.stage_flags[stage - 1]), *flags)

    def score(self, model: pathlib.Path) -> dict:
        self.say(f"ask   {model}")
        result, folder = model / "eval.json", self.arguments.data
        if not result.exists():
            self.run("eval", "--model", model, "--questions", folder / "test.jsonl", "--image-folder",
                     folder / "test_images", "--limit", self.arguments.limit, "--result", result, "--answers",
                     model / "eval.jsonl")
        if not self.arguments.keep_models:
            remove_weights(model)
        scores = json.loads(result.read_text(encoding="utf-8"))
        return {"accuracy": scores["overall"]["accuracy"], "loss": final_loss(model),
                "parameters": scores["parameters"]["decoder_total"], "active": scores["parameters"]["decoder_active"]}

    def foundations(self, seed: int) -> dict[int, pathlib.Path]:
        """The models after stages 1 and 2."""
        folder = self.arguments.out / f"seed{seed}"
        models = {1: folder / "stage1", 2: folder / "stage2"}
        self.train(1, self.arguments.llm, (1,), models[1], seed, "--vision_tower", self.arguments.tower)
        self.train(2, models[1], (2,), models[2], seed)
        return models


def final_loss(model: pathlib.Path) -> float:
    """Of the answers alone: the balance loss, which dense models have not, is taken off."""
    history = json.loads((model / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    moe = json.loads((model / "config.json").read_text(encoding="utf-8")).get("moe", {})
    last = history[-max(1, round(LAST_SHARE * len(history))):]
    balance = moe.get("router_aux_loss_coef", 0)
    return statistics.fmean(entry["loss"] - balance * entry.get("aux_loss", 0) for entry in last)


def remove_weights(model: pathlib.Path) -> None:
    for path in model.glob("*.safetensors*"):
        path.unlink()
    for path in model.glob("checkpoint-*"):
        shutil.rmtree(path)


def folder_name(variant: Variant) -> str:
    words = [word.lstrip("-") for word in variant.flags] + ["after", str(variant.after)]
    return "-".join(words).replace(".", "")


def measure(arguments: argparse.Namespace) -> dict[str, list[dict]]:
    """The scores of every chosen variant by its folder, one for each seed. Those that differ in name only are one."""
    distinct = {folder_name(variant): variant for group in arguments.only for variant in GROUPS[group][1]}
    laboratory = Laboratory(arguments, arguments.seeds * (2 + 2 * len(distinct)))
    scores: dict[str, list[dict]] = {name: [] for name in distinct}
    for seed in range(1, arguments.seeds + 1):
        models = laboratory.foundations(seed)
        for name, variant in distinct.items():
            out = arguments.out / f"seed{seed}" / name
            laboratory.train(3, models[variant.after], variant.data, out, seed, *variant.flags)
            scores[name].append(laboratory.score(out))
    return scores


def mean_and_spread(values: list[float], digits: int, factor: float = 1, sign: str = "") -> str:
    mean = f"{factor * statistics.fmean(values):{sign}.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {factor * statistics.stdev(values):.{digits}f}"


def write_tables(arguments: argparse.Namespace, scores: dict[str, list[dict]]) -> str:
    """table.csv has a row for every run, table.md one for every variant; returns the latter."""
    lines = [f"{arguments.seeds} seeds, {arguments.limit} held-out questions; mean ± standard deviation over the seeds.",
             "The last column is the difference in loss from MoE-Tuning with the same seed.",
             "", "| | decoder parameters, M | at work, M | accuracy, % | final loss | against MoE-Tuning |",
             "|---|---:|---:|---:|---:|---:|"]
    rows, base = [], [run["loss"] for run in scores[folder_name(MOE_TUNING)]]
    for group in arguments.only:
        title, variants = GROUPS[group]
        lines.append(f"| **{title}** | | | | | |")
        for variant in variants:
            runs = scores[folder_name(variant)]
            losses = [run["loss"] for run in runs]
            against = [loss - of_base for loss, of_base in zip(losses, base)]
            lines.append("| {} | {:.1f} | {:.1f} | {} | {} | {} |".format(
                variant.name, runs[0]["parameters"] / 1e6, runs[0]["active"] / 1e6,
                mean_and_spread([run["accuracy"] for run in runs], 1, 100), mean_and_spread(losses, 3),
                mean_and_spread(against, 3, sign="+") if any(against) else ""))
            rows += [{"group": group, "variant": variant.name, "seed": seed, **run}
                     for seed, run in enumerate(runs, 1)]
    table = "\n".join(lines) + "\n"
    with open(arguments.out / "table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (arguments.out / "table.md").write_text(table, encoding="utf-8")
    return table


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(write_tables(arguments, measure(arguments)), end="")


if __name__ == "__main__":
    main()

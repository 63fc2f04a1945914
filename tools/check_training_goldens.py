#!/usr/bin/env python3
"""Every training number of a folder of goldens (of the original code, at tiny sizes) against `moe-llava train`.
Usage: check_training_goldens.py GOLDENS MOE_LLAVA [FAMILY...]       (needs numpy; exit status 1 when anything differs)

For each family: ids, labels, slots and dropped choices must be the same, losses and balance losses within 1e-5 of
theirs, gradients, their norms and trained weights within 1e-3, all else within 1e-4: in stages 1 and 2, in stage 3 as it
is, with little room and with recorded noise, with copied experts, and over the three runs of eight AdamW steps. The
losses are those of trainer_state.json. The table shows the largest differences."""
import collections
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import golden_report

# Largest difference allowed, relative to the largest magnitude; 0: the same.
TOLERANCE = {"ids": 0, "labels": 0, "trained": 0, "slots": 0, "dropped": 0, "embeddings": 1e-4, "router": 1e-4,
             "combine": 1e-4, "loss": 1e-5, "aux": 1e-5, "rate": 1e-9, "norms": 1e-3, "gradients": 1e-3,
             "weights": 1e-3}
STYLES = {"llama": "v1"}  # others are named as their family
MODULES = {"phi": ["fc1", "fc2", "wg"], "qwen": ["mlp.w1", "mlp.w2", "mlp.c_proj", "wg"]}
GATED = ["gate_proj", "up_proj", "down_proj", "wg"]


class Run:
    """`moe-llava train` over the samples of a family in one batch, and what it left."""

    def __init__(self, family, checkpoint, flags, out, batch):
        self.out, self.dump = out / "run", out / "dump"
        goldens = family.folder.parent
        done = subprocess.run([
            family.program, "train", "--model_name_or_path", family.folder / checkpoint,
            "--vision_tower", goldens / "openai/clip-vit-tiny-patch14", "--data_path", family.folder / "train/samples.json",
            "--image_folder", goldens / "images", "--feature_cache", "none", "--per_device_train_batch_size", str(batch),
            "--warmup_ratio", "0", "--lr_scheduler_type", "constant", "--learning_rate", "1e-3", "--max_steps", "1",
            "--threads", "1", "--output_dir", self.out, "--overwrite_output_dir", "--dump_step", self.dump, *flags],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{family.folder / checkpoint} {flags}: {done.stderr}")
        self.history = json.loads((self.out / "trainer_state.json").read_text())["log_history"]

    def array(self, name):
        return np.load(self.dump / f"{name}.npy")

    def read(self, name):
        return json.loads((self.dump / f"{name}.json").read_text())


class Family:
    """The goldens of one family: a folder, the program, and the largest differences found."""

    def __init__(self, folder, program):
        self.folder, self.name, self.program = folder, folder.name, program
        self.worst, self.misses = collections.defaultdict(float), []
        self.trained = ["--train_modules", *MODULES.get(self.name, GATED)]

    def check(self):
        with tempfile.TemporaryDirectory() as out:
            self.temporary = pathlib.Path(out)
            self.check_stage1()
            self.check_stage2()
            self.check_stage3()
            self.check_copied_experts()
            self.check_adamw()

    def run(self, checkpoint, *flags, batch=4):
        return Run(self, checkpoint, [str(flag) for flag in flags], self.temporary, batch)

    def golden(self, name):
        path = self.folder / "train" / name
        return np.load(path) if path.suffix == ".npy" else json.loads(path.read_text())

    def compare(self, kind, found, expected, where):
        found, expected = np.asarray(found), np.asarray(expected)
        if found.shape != expected.shape:
            difference = math.inf
        elif TOLERANCE[kind] == 0:
            difference = float(np.sum(found != expected))
        else:
            scale = max(np.abs(expected).max(), 1e-30)
            difference = float(np.abs(found.astype(np.float64) - expected).max() / scale)
        self.worst[kind] = max(self.worst[kind], difference)
        if not difference <= TOLERANCE[kind]:
            self.misses.append(f"{self.name}: {where}: {kind} differ by {difference:g}")

    def compare_lists(self, kind, found, expected, where):
        """Lists of lists that need not be equally long; the golden's are padded behind ours."""
        for i, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
            self.compare(kind, mine, theirs[:len(mine)], f"{where}, sample {i}")

    def compare_step(self, run, step, expected, where):
        entry = run.history[step]
        self.compare("loss", entry["loss"], expected["loss"], where)
        if "aux_sum" in expected:
            self.compare("aux", entry["aux_loss"], expected["aux_sum"], where)
        if "n_dropped" in expected and "slot" in {path.stem for path in run.dump.glob("*.npy")} and step == 0:
            kept = (run.array("slot") >= 0).sum(axis=(1, 2))
            choices = np.prod(run.array("top_idx").shape[1:])
            self.compare("dropped", choices - kept, expected["n_dropped"], where)

    def compare_gradients(self, run, norms, folder, where):
        found = run.read("gradient_norms")
        self.compare("trained", sorted(found), sorted(norms), where)
        for name, norm in norms.items():
            self.compare("norms", found.get(name, math.inf), norm, f"{where}, {name}")
        total = math.sqrt(sum(norm * norm for norm in norms.values()))
        self.compare("norms", run.history[0]["grad_norm"], total, where)
        for path in (self.folder / "train" / folder).glob("*.npy"):
            self.compare("gradients", run.array(f"gradients/{path.stem}"), np.load(path), f"{where}, {path.stem}")

    def check_stage1(self):
        """Captions: some of the samples as the original masks them."""
        images = {sample["id"]: sample.get("image") for sample in self.golden("samples.json")}
        captions = [entry for entry in self.golden("stage1_plain.json") if isinstance(images[entry["sample"]], str)]
        data = self.temporary / "captions.json"
        data.write_text(json.dumps([{"id": entry["sample"], "image": images[entry["sample"]],
                                     "conversations": entry["conversations"]} for entry in captions]))
        run = self.run("ckpt_dense", "--stage", 1, "--data_path", data, batch=len(captions))
        self.compare_lists("ids", run.read("ids"), [entry["input_ids"] for entry in captions], "stage 1")
        self.compare_lists("labels", run.read("labels"), [entry["labels"] for entry in captions], "stage 1")

    def check_stage2(self):
        run = self.run("ckpt_dense", "--stage", 2, "--version", STYLES.get(self.name, self.name))
        batch, expected = self.golden("batch.json"), self.golden("stage2.json")
        self.compare_lists("ids", run.read("ids"), batch["input_ids"], "stage 2")
        self.compare_lists("labels", run.read("labels"), batch["labels"], "stage 2")
        self.compare("labels", run.array("labels"), self.golden("merged_labels.npy"), "stage 2")
        self.compare("embeddings", run.array("embeddings"), self.golden("merged_inputs_embeds.npy"), "stage 2")
        self.compare_step(run, 0, expected, "stage 2")
        self.compare_gradients(run, expected["grad_norms"], "stage2_grad", "stage 2")

    def check_stage3(self):
        expected = self.golden("stage3.json")
        for name, flags in (("main", []), ("drop", ["--capacity_factor", expected["drop"]["capacity_factor"]]),
                            ("noise", ["--router_noise", self.folder / "train/stage3_noise_gumbel.npy"])):
            prefix = "stage3" if name == "main" else f"stage3_{name}"
            run = self.run("ckpt_bin", "--stage", "finetune", *self.trained, *flags)
            self.compare_step(run, 0, expected[name], f"stage 3 {name}")
            self.compare_gradients(run, expected[name]["grad_norms"], f"{prefix}_grad", f"stage 3 {name}")
            for kind, mine, golden in (("combine", "combine", "combine"), ("slots", "slot", "slot"),
                                       ("router", "router_logits", "router_logits")):
                if (self.folder / f"train/{prefix}_{golden}.npy").exists():
                    self.compare(kind, run.array(mine), self.golden(f"{prefix}_{golden}.npy"), f"stage 3 {name}")

    def check_copied_experts(self):
        run = self.run("ckpt_dense", "--stage", 3, *self.trained, "--init_tensors", self.folder / "train/upcycle_gate")
        self.compare_step(run, 0, self.golden("stage3.json")["upcycled_init"], "copied experts")

    def check_adamw(self):
        """Eight steps, and as the goldens have it a ninth loss of the weights after them."""
        experts = ["--train_modules", "deepspeed_moe", "--freeze_mm_mlp_adapter", "True"]
        schedule = ["--lr_scheduler_type", "cosine", "--warmup_ratio", "0.125", "--max_grad_norm", "1"]
        for name, flags in (("official_trainable", self.trained), ("moe_only", experts),
                            ("official_schedule", [*self.trained, *schedule])):
            run = self.run("ckpt_bin", "--stage", "finetune", *flags, "--max_steps", 8)
            for step, expected in enumerate(self.golden("adamw8.json")[name]["steps"][:8]):
                self.compare_step(run, step, expected, f"{name}, step {step}")
                self.compare("rate", run.history[step]["learning_rate"], expected["lr"], f"{name}, step {step}")
                self.compare("norms", run.history[step]["grad_norm"], expected["grad_norm_before_clip"],
                             f"{name}, step {step}")
            if name == "official_trainable":
                self.check_weights(run)

    def check_weights(self, run):
        """After eight steps; read back through the program, as the gradients of a ninth step would need them."""
        after = self.folder / "train/official_trainable_after8"
        files = {path.stem: np.load(path) for path in after.glob("*.npy")}
        header, data = read_safetensors(run.out / "model.safetensors")
        for name, expected in files.items():
            begin, end = header[name]["data_offsets"]
            found = np.frombuffer(data[begin:end], np.float32).reshape(header[name]["shape"])
            self.compare("weights", found, expected, f"after 8 steps, {name}")

    def row(self):
        cells = [self.name]
        for kind, tolerance in TOLERANCE.items():
            worst = self.worst.get(kind)
            text = "" if worst is None else f"{worst:.1e}"
            if worst is not None and tolerance == 0:
                text = "same" if worst == 0 else f"{worst:g} differ"
            cells.append(text)
        return "| " + " | ".join(cells) + " |"


def read_safetensors(path):
    """Header and bytes of a file of float32 tensors."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8:8 + size]), data[8 + size:]


def check(goldens, program, name):
    family = Family(goldens / name, program)
    family.check()
    yield family.row(), family.misses


if __name__ == "__main__":
    golden_report.main(__doc__, "train", ["family", *TOLERANCE], check)

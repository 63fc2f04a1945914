#!/usr/bin/env python3
"""Makes the pictures and the numbers of docs/routing.md from a trained model: what `moe-llava routing` says about held-out
questions, which expert takes which part of docs/scene.png, and what masking an expert costs.

The questions' own pictures are stamps that may not be copied into this repository; the scene is drawn by
tools/draw_readme_picture.py.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

FIGURES = ("load", "modalities", "depth", "pathways", "paths", "co_activation", "categories")


def run(*command) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def describe(statistics: dict) -> str:
    """The answers of docs/routing.md, as numbers."""
    layers = statistics["layers"]
    distance = {layer["layer"]: layer["text_image_distance"] for layer in layers}
    shares = [share for layer in layers for share in layer["all"]["first_choice_share"]]
    nearest, farthest = min(distance, key=distance.get), max(distance, key=distance.get)
    lines = [
        f"{statistics['prompts']} questions, {statistics['tokens']} tokens",
        f"text and image apart: {100 * mean(distance.values()):.0f} % on average, {100 * distance[nearest]:.0f} % in layer "
        f"{nearest} to {100 * distance[farthest]:.0f} % in layer {farthest}",
        f"share of one expert in a layer: {100 * min(shares):.0f} % to {100 * max(shares):.0f} %",
        f"balance loss: {mean(layer['all']['balance_loss'] for layer in layers):.2f}",
        f"entropy of the routers: {mean(layer['all']['entropy_bits'] for layer in layers):.2f} bits",
        f"dropped: {100 * mean(layer['all']['dropped_share'] for layer in layers):.1f} %",
    ]
    for name, pathways in statistics["pathways"].items():
        explained = [component["explained"] for component in pathways["components"][:2]]
        most = pathways["most_travelled"][0]["tokens"] / pathways["tokens"]
        lines.append(f"{name}: two components explain {100 * sum(explained):.0f} %, the most travelled path has "
                     f"{100 * most:.1f} % of the tokens")
    groups = statistics["categories"]
    for i, a in enumerate(groups):
        for b in groups[i + 1:]:
            apart = mean(sum(abs(x - y) for x, y in zip(p["first_choice_share"], q["first_choice_share"])) / 2
                         for p, q in zip(a["layers"], b["layers"]))
            lines.append(f"{a['name']} and {b['name']} apart: {100 * apart:.0f} %")
    return "\n".join(lines)


def what_ifs(program, model, data, images, limit, folder, layers) -> None:
    """One eval as it is, and one for each expert of a layer without it; the table of compare."""
    results, labels = [], []
    first = layers[0]["layer"]
    cases = [("as trained", [])]
    cases += [(f"without expert {e + 1} of layer {first}", ["--mask-expert", f"{first}:{e + 1}"])
              for e in range(len(layers[0]["all"]["first_choice_share"]))]
    cases.append(("one expert a token", ["--top-k-experts", "1"]))
    for label, flags in cases:
        results.append(folder / f"{len(results)}.json")
        labels.append(label)
        run(program, "eval", "--model", model, "--questions", data, "--image-folder", images, "--limit", limit,
            "--result", results[-1], *flags)
    subprocess.run([program, "compare", *results, "--labels", *labels], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/release/moe-llava"))
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("demo-run/stage3"))
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("demo-run/data/test.jsonl"))
    parser.add_argument("--image-folder", type=pathlib.Path, default=pathlib.Path("demo-run/data/test_images"))
    parser.add_argument("--scene", type=pathlib.Path, default=pathlib.Path("docs/scene.png"))
    parser.add_argument("--question", default="Is there a building?", help="about the scene")
    parser.add_argument("--limit", type=int, default=200, help="questions")
    parser.add_argument("--what-if-limit", type=int, default=200, help="questions of each what-if; 0: none")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/routing"), help="written")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run(arguments.program, "routing", "--model", arguments.model, "--data", arguments.data, "--image-folder",
            arguments.image_folder, "--limit", arguments.limit, "--pictures", 0, "--out", folder / "questions")
        for figure in FIGURES:
            shutil.copy(folder / "questions" / f"{figure}.svg", arguments.out)
        trace = folder / "scene.safetensors"
        run(arguments.program, "chat", "--model", arguments.model, "--image", arguments.scene, "--prompt",
            arguments.question, "--max-new-tokens", 16, "--trace", trace)
        run(arguments.program, "routing", "--from-trace", trace, "--out", folder / "scene")
        shutil.copy(folder / "scene/questions/1.svg", arguments.out / "scene.svg")
        statistics = json.loads((folder / "questions/routing.json").read_text(encoding="utf-8"))
        print(describe(statistics), flush=True)
        if arguments.what_if_limit > 0:
            what_ifs(arguments.program, arguments.model, arguments.data, arguments.image_folder,
                     arguments.what_if_limit, folder, statistics["layers"])


if __name__ == "__main__":
    sys.exit(main())

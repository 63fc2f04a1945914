#!/usr/bin/env python3
"""Draws the README's picture: a scene, questions, the model's answers, and how its experts share the work.

The scene is drawn here, because the stamps of the demo may not be copied into this repository; the answers are asked
of the model as it is, and the plot is the one that `moe-llava routing` wrote.
"""
import argparse
import base64
import io
import pathlib
import re
import subprocess
import sys
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw

SIZE = 224  # pixels, as the demo's scenes
FINE = 4  # drawn this much larger, then reduced: smooth edges
QUESTIONS = ("What kind of thing is on the left?", "Is there a plant?", "Is there a building?", "Is there an animal?",
             "Is there any food?")
SCENE_WIDTH, GAP = 288, 20  # pixels of the finished picture
STYLE = "font-family:system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif"


def draw_scene() -> Image.Image:
    """A flower on the left and a house on the right."""
    picture = Image.new("RGB", (SIZE * FINE, SIZE * FINE), (214, 226, 236))
    pen = ImageDraw.Draw(picture)

    def ellipse(x: float, y: float, rx: float, ry: float, fill: tuple) -> None:
        pen.ellipse([FINE * v for v in (x - rx, y - ry, x + rx, y + ry)], fill=fill)

    def polygon(points: list[tuple[float, float]], fill: tuple) -> None:
        pen.polygon([(FINE * x, FINE * y) for x, y in points], fill=fill)

    green, petal = (44, 122, 52), (214, 40, 60)
    polygon([(53, 92), (57, 92), (58, 172), (52, 172)], green)
    ellipse(42, 140, 14, 6, green)
    ellipse(69, 126, 14, 6, green)
    for dx, dy in ((0, -20), (19, -6), (12, 16), (-12, 16), (-19, -6)):
        ellipse(55 + dx, 72 + dy, 15, 15, petal)
    ellipse(55, 72, 11, 11, (246, 200, 48))

    polygon([(124, 104), (206, 104), (206, 174), (124, 174)], (196, 120, 84))
    polygon([(114, 106), (165, 60), (216, 106)], (120, 44, 40))
    polygon([(182, 62), (194, 62), (194, 88), (182, 78)], (96, 40, 36))
    polygon([(156, 134), (176, 134), (176, 174), (156, 174)], (84, 52, 36))
    for x in (132, 184):
        polygon([(x, 116), (x + 15, 116), (x + 15, 132), (x, 132)], (236, 240, 200))
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def ask(program: pathlib.Path, model: pathlib.Path, picture: pathlib.Path, question: str) -> str:
    command = [program, "chat", "--model", model, "--image", picture, "--prompt", question]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def compose(scene: Image.Image, dialogue: list[tuple[str, str]], load: str) -> str:
    """One SVG: scene above questions and answers on the left, the plot on the right."""
    width, height = (int(re.search(rf'<svg[^>]* {side}="(\d+)"', load)[1]) for side in ("width", "height"))
    png = io.BytesIO()
    scene.resize((2 * SIZE, 2 * SIZE), Image.Resampling.LANCZOS).save(png, "PNG", optimize=True)
    parts = [f'<image x="0" y="0" width="{SCENE_WIDTH}" height="{SCENE_WIDTH}" '
             f'href="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"/>']
    y = SCENE_WIDTH + 26
    for question, answer in dialogue:
        parts.append(f'<text x="0" y="{y}" style="{STYLE};font-size:13.5px;fill:#57606a">{escape(question)}</text>')
        parts.append(f'<text x="{SCENE_WIDTH}" y="{y}" text-anchor="end" '
                     f'style="{STYLE};font-size:13.5px;font-weight:600;fill:#1f2328">{escape(answer)}</text>')
        y += 24
    tall = max(y, height)
    plot = load.replace("<svg ", f'<svg x="{SCENE_WIDTH + GAP}" y="{(tall - height) / 2:.0f}" ', 1)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{SCENE_WIDTH + GAP + width}" height="{tall}" '
            f'viewBox="0 0 {SCENE_WIDTH + GAP + width} {tall}" role="img">\n<title>A scene, questions and answers, and '
            f'the load of the experts</title>\n' + "\n".join(parts) + f"\n{plot}\n</svg>\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/release/moe-llava"))
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path("demo-run/stage3"))
    parser.add_argument("--load", type=pathlib.Path, default=pathlib.Path("demo-run/report/load.svg"))
    parser.add_argument("--scene", type=pathlib.Path, default=pathlib.Path("docs/scene.png"), help="written")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/demo.svg"), help="written")
    arguments = parser.parse_args()
    scene = draw_scene()
    scene.save(arguments.scene, optimize=True)
    dialogue = []
    for question in QUESTIONS:
        dialogue.append((question, ask(arguments.program, arguments.model, arguments.scene, question)))
        print(f"{question} {dialogue[-1][1]}", file=sys.stderr)
    arguments.out.write_text(compose(scene, dialogue, arguments.load.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

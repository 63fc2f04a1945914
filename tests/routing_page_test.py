#!/usr/bin/env python3
"""The page of `moe-llava routing` in headless Chromium, wide and as on a telephone: no errors, no network, every panel
there, nothing wider than the screen, and the controls do what they say. Skips when there is no Chromium.
Usage: routing_page_test.py MOE_LLAVA"""
import html
import json
import re
import shutil
import subprocess
import sys
import unittest

from tiny_case import TrainedModelCase

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-shell", "google-chrome")
FIGURES = ("load", "modalities", "depth", "pathways", "paths", "co_activation", "positions", "categories")
QUESTIONS = [{"question_id": i, "image": f"{i % 3}.png", "text": f"Is there a {thing}? </script>", "category": kind}
             for i, (thing, kind) in enumerate((("dog", "presence"), ("cat", "presence"), ("cow", "count")))]
QUESTIONS.append({"question_id": "text", "text": "What is a very, very long question without any picture? " * 4})

# Before the page's own script: what goes wrong.
WATCH = """<script>
window.faults = [];
addEventListener("error", event => faults.push(String(event.message)));
addEventListener("unhandledrejection", event => faults.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => faults.push("asked for " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...words) => faults.push(words.join(" "));
</script>"""
# Behind it: uses every control, then writes down what is seen.
REPORT = """<script>
addEventListener("load", () => {
  const at = id => document.getElementById(id);
  const look = () => ({
    fills: [...document.querySelectorAll("#pictures rect")].map(rect => rect.getAttribute("fill")),
    images: [...document.querySelectorAll("#pictures img")].map(image => image.naturalWidth),
    words: at("words").textContent, layer: at("layer-name").textContent, token: at("token-name").textContent,
    path: at("token-path").childElementCount, maps: at("small-maps").childElementCount,
    counts: at("counts").textContent});
  const say = (control, value) => {
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const report = { first: look(), panels: {} };
  const shown = [...document.querySelectorAll("section")].filter(section => section.getBoundingClientRect().height > 100);
  for (const section of shown) report.panels[section.id] = section.querySelectorAll(".panels > svg").length;
  const radios = document.querySelectorAll("#choices input");
  radios[1].click();
  report.second = look();
  radios[0].click();
  document.querySelector("#pictures rect").dispatchEvent(new Event("click"));
  report.patch = look();
  document.querySelector("#words button").focus();
  report.word = look();
  say(at("sample"), 3);
  report.text = look();
  say(at("sample"), 0);
  report.width = document.documentElement.scrollWidth;
  report.screen = innerWidth;
  report.smallest = Math.min(...[...document.querySelectorAll(".panels > svg")].map(
    svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width));
  report.faults = faults;
  document.body.append(Object.assign(document.createElement("pre"), { id: "report", textContent: JSON.stringify(report) }));
});
</script>"""


def find_browser():
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


class Page(TrainedModelCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = find_browser()
        if cls.browser is None:
            raise unittest.SkipTest("no Chromium: tools/fetch.sh packages installs one")
        super().setUpClass()
        folder = cls.folder
        (folder / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
        made = subprocess.run([cls.program, "routing", "--model", cls.model, "--data", folder / "questions.jsonl",
                               "--image-folder", folder / "images", "--threads", "1", "--out", folder / "out"],
                              capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        page = (folder / "out/routing.html").read_text(encoding="utf-8")
        watched = page.replace("<head>", "<head>" + WATCH, 1).replace("</body>", REPORT + "</body>", 1)
        (folder / "watched.html").write_text(watched, encoding="utf-8")

    def seen(self, width, height):
        """What the page reported at this size of window, and what the browser logged."""
        done = subprocess.run(
            [self.browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={self.folder / 'profile'}", f"--window-size={width},{height}",
             "--virtual-time-budget=5000", "--dump-dom", (self.folder / "watched.html").as_uri()],
            capture_output=True, text=True, timeout=120, check=True)
        self.assertNotIn(":CONSOLE", done.stderr)
        return json.loads(html.unescape(re.search(r'<pre id="report">(.*?)</pre>', done.stdout, re.S)[1]))

    def check(self, report, width):
        self.assertEqual(report["faults"], [])
        self.assertEqual((report["screen"], report["width"]), (width, width))
        self.assertEqual(set(report["panels"]), {"explorer", *FIGURES})
        for name in FIGURES:
            self.assertGreater(report["panels"][name], 0, name)
        self.assertGreater(report["smallest"], 0.9)  # charts are not shrunk until nobody can read them
        first, second = report["first"], report["second"]
        self.assertEqual(len(first["fills"]), 4)
        self.assertEqual(first["images"], [16])
        self.assertEqual((first["layer"], first["maps"]), ("1", 1))
        self.assertIn("Is there a dog? </script>", first["words"])
        self.assertTrue(all(a != b for a, b in zip(first["fills"], second["fills"])))  # a second choice is another
        self.assertIn("Patch 1 of picture 1", report["patch"]["token"])
        self.assertIn("The word", report["word"]["token"])
        self.assertEqual(report["word"]["path"], 1)
        self.assertIn("very long question", report["text"]["words"])
        self.assertEqual(report["text"]["fills"], [])

    def test_on_a_desk(self):
        self.check(self.seen(1280, 900), 1280)

    def test_on_a_telephone(self):
        self.check(self.seen(390, 844), 390)


if __name__ == "__main__":
    TrainedModelCase.program = sys.argv.pop(1)
    unittest.main()

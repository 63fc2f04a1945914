"""ScienceQA, MMBench and SEED-Bench: multiple choice."""
import base64
import io
import pathlib
import random

from .. import kinds, questions
from ..dataset import JPEG_QUALITY
from .source import LETTER_REQUEST, Source, WORDS, save, write_json, write_lines

LETTERS = "ABCD"

# What is true of a kind and of no other of these.
FACTS = {
    "bird": "It has feathers and a beak.",
    "insect": "It has six legs.",
    "plant": "It makes its food from sunlight.",
    "building": "People can live or work inside it.",
    "vehicle": "It carries people or things from place to place.",
    "clothing": "It is worn on the body.",
    "tool": "It is used to make or repair things.",
    "instrument": "It is made to play music.",
    "coin": "It is made of metal and used to pay.",
    "sign": "It tells drivers what to do.",
    "letter": "It is written to stand for a sound.",
}

CHINESE = {"animal": "动物", "bird": "鸟", "insect": "昆虫", "food": "食物", "plant": "植物", "building": "建筑物",
           "vehicle": "车辆", "sign": "标志", "clothing": "衣服", "tool": "工具", "instrument": "乐器", "coin": "硬币",
           "letter": "字母"}


def options_of(right: str, others: list[str], count: int, rng: random.Random) -> tuple[list[str], int]:
    """`count` options, the right one among them, and its place."""
    options = [right, *rng.sample([other for other in others if other != right], count - 1)]
    rng.shuffle(options)
    return options, options.index(right)


def listed(options: list[str]) -> str:
    return "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, options))


def other_kinds(kind: str) -> list[str]:
    """Kinds that could not be meant instead."""
    return [k for k in kinds.KINDS if k != kind and kind not in kinds.INCLUDED_KINDS.get(k, set())
            and k not in kinds.INCLUDED_KINDS.get(kind, set())]


def write_science_qa(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    """As many questions without a picture as with one: what a kind of thing is, and which things are of a kind."""
    folder = out / "scienceqa"
    problems, asked = {}, []

    def add(question: str, options: list[str], right: int, picture) -> None:
        name = str(len(problems) + 1)
        problems[name] = {"question": question, "choices": options, "answer": right, "hint": "",
                          "image": "image.png" if picture else None, "subject": "natural science", "split": "test"}
        text = question + listed(options)
        entry = {"id": name, "conversations": [{"from": "human", "value": ("<image>\n" if picture else "") + text},
                                               {"from": "gpt", "value": f"The answer is {LETTERS[right]}."}]}
        if picture:
            save(picture, folder / "images/test" / name / "image.png")
            entry["image"] = f"{name}/image.png"
        asked.append(entry)

    shown = 0
    for picture, objects in source.scenes("scienceqa", (1,)):
        if shown == pictures:
            break
        kind, rng = objects[0].stamp.kind, source.rng(f"scienceqa/{shown}")
        if kind in FACTS:
            add("Which is true of the thing in the picture?",
                *options_of(FACTS[kind], list(FACTS.values()), 3, rng), picture)
            shown += 1
    nouns = {kind: [n for n in source.vocabulary.nouns if source.vocabulary.kind_of_noun[n] == {kind}
                    and questions.may_ask_noun(n)] for kind in kinds.KINDS}
    able = [kind for kind in nouns if nouns[kind]]
    for number in range(pictures):
        rng = source.rng(f"scienceqa/text/{number}")
        kind = rng.choice(able)
        others = [n for other in other_kinds(kind) for n in nouns[other]]
        phrase = kinds.KINDS[kind][0].replace("any ", "")
        add(f"Which of these is {phrase}?", *options_of(rng.choice(nouns[kind]), others, 3, rng), None)
    write_json(folder / "llava_test_CQM-A.json", asked)
    write_json(folder / "problems.json", problems)
    write_json(folder / "pid_splits.json", {"train": [], "val": [], "test": list(problems)})
    return len(asked)


def write_mmbench(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    columns = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source",
               "l2-category", "comment", "split"]
    rows: dict[str, list[list[str]]] = {"mmbench_dev_20230712": [], "mmbench_dev_cn_20231003": []}
    for number, (picture, objects) in enumerate(source.scenes("mmbench", (1, 2))):
        if number == pictures:
            break
        rng = source.rng(f"mmbench/{number}")
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
        image = base64.b64encode(buffer.getvalue()).decode()
        left = rng.random() < 0.5
        kind = objects[0 if left else -1].stamp.kind
        apart = [k for k in other_kinds(kind) if k not in {p.stamp.kind for p in objects}]
        options, right = options_of(kind, apart, 4 if number % 4 else 3, rng)
        one = len(objects) == 1
        if one:
            texts = ("What kind of thing is it?", "这是什么？")
        else:
            texts = (f"What kind of thing is on the {'left' if left else 'right'}?", f"{'左' if left else '右'}边是什么？")
        category = ("image_topic", "coarse_perception") if one else ("object_localization", "finegrained_perception")
        for name, text, spell in zip(rows, texts, (str, CHINESE.get)):
            spelled = [spell(option) for option in options] + [""] * (4 - len(options))
            rows[name].append([str(number), text, "", *spelled, LETTERS[right], category[0], image, "stamps", category[1],
                               "", "dev"])
    for name, lines in rows.items():
        path = out / f"mmbench/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join("\t".join(row) + "\n" for row in [columns, *lines]), encoding="utf-8")
    return 2 * pictures


SEED_TYPES = {"Instance Identity": 2, "Instance Location": 4, "Instances Counting": 5, "Text Understanding": 9}


def write_seed_bench(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    lines, entries = [], []

    def add(kind: str, picture, question: str, options: list[str], right: int) -> None:
        name, image = str(100000 + len(lines)), f"SEED-Bench-image/{len(lines):07d}.jpg"
        save(picture, out / "seed_bench" / image)
        lines.append({"question_id": name, "image": image, "category": str(SEED_TYPES[kind]),
                      "text": question + listed(options) + LETTER_REQUEST})
        entries.append({"question_id": name, "question_type_id": SEED_TYPES[kind], "data_type": "image",
                        "data_id": image, "question": question, "answer": LETTERS[right],
                        **{f"choice_{letter.lower()}": option for letter, option in zip(LETTERS, options)}})

    for number, (picture, objects) in enumerate(source.scenes("seed_bench", (1, 2, 3, 4))):
        if number == pictures:
            break
        rng = source.rng(f"seed_bench/{number}")
        add("Instances Counting", picture, "How many objects are there?",
            *options_of(questions.NUMBERS[len(objects)], questions.NUMBERS[1:], 4, rng))
        kind = objects[0].stamp.kind
        apart = [k for k in other_kinds(kind) if k not in {p.stamp.kind for p in objects}]
        if len(objects) == 1:
            add("Instance Identity", picture, "What kind of thing is it?", *options_of(kind, apart, 4, rng))
        for question in questions.left_or_right(objects)[:1]:
            add("Instance Location", picture, question.text.split(" on the ")[0].replace("Is the", "Where is the") + "?",
                *options_of(f"on the {question.answer}", ["on the left", "on the right"], 2, rng))
        if number % 2:
            word = rng.choice(WORDS)
            add("Text Understanding", source.texts([word], rng), "What is written?", *options_of(word, WORDS, 4, rng))
    write_lines(out / "seed_bench/llava-seed-bench.jsonl", lines)
    write_json(out / "seed_bench/SEED-Bench.json", {"question_type": SEED_TYPES, "questions": entries})
    return len(lines)

"""POPE and MME: questions to be answered yes or no, as many of one as of the other."""
import pathlib

from .. import questions
from ..questions import NUMBERS, Question
from ..scenes import Placed
from .source import Source, WORDS, save, write_lines

CATEGORIES = ("random", "popular", "adversarial")


def write_pope(source: Source, out: pathlib.Path, pictures: int, request: str) -> int:
    """Four questions a picture and category, two of them about what is there; these are the same in all three."""
    asked: dict[str, list[dict]] = {category: [] for category in CATEGORIES}
    shown = 0
    for picture, objects in source.scenes("pope", (2, 3, 2, 4, 1)):
        if shown == pictures:
            break
        rng = source.rng(f"pope/questions/{shown}")
        present = questions.present_things(objects, source.vocabulary)
        absent = questions.absent_things(objects, source.vocabulary, rng)
        pools = {category: [q for q in absent if q.negative == category] for category in CATEGORIES}
        if len(present) < 2 or min(len(pool) for pool in pools.values()) < 2:
            continue
        name = f"COCO_val2014_{shown:012d}.jpg"
        save(picture, out / "pope/val2014" / name)
        there = rng.sample(present, 2)
        for category, pool in pools.items():
            for question in (q for pair in zip(there, rng.sample(pool, 2)) for q in pair):
                asked[category].append({"question_id": len(asked[category]) + 1, "image": name, "text": question.text,
                                        "label": question.answer})
        shown += 1
    lines = []
    for category in ("adversarial", "popular", "random"):  # LLaVA's order
        write_lines(out / f"pope/coco/coco_pope_{category}.json", asked[category])
        lines += [{"question_id": len(lines) + i, "image": q["image"], "text": q["text"] + request,
                   "category": category} for i, q in enumerate(asked[category])]
    write_lines(out / "pope/llava_pope_test.jsonl", lines)
    return len(lines)


def existence(source: Source, objects: tuple[Placed, ...], rng) -> tuple[str, str] | None:
    absent = [q for q in questions.absent_things(objects, source.vocabulary, rng) if q.negative == "random"]
    present = questions.present_things(objects, source.vocabulary)
    return (rng.choice(present).text, rng.choice(absent).text) if absent and present else None


def count(_source: Source, objects: tuple[Placed, ...], rng) -> tuple[str, str]:
    def text(number: int) -> str:
        return "Is there one object?" if number == 1 else f"Are there {NUMBERS[number]} objects?"
    return text(len(objects)), text(rng.choice([n for n in range(1, 6) if n != len(objects)]))


def position(_source: Source, objects: tuple[Placed, ...], rng) -> tuple[str, str] | None:
    able: list[Question] = questions.left_or_right(objects)
    if not able:
        return None
    question = rng.choice(able)
    thing = question.text.removeprefix("Is ").removesuffix(" on the left or on the right?")
    other = "right" if question.answer == "left" else "left"
    return f"Is {thing} on the {question.answer}?", f"Is {thing} on the {other}?"


def write_mme(source: Source, out: pathlib.Path, pictures: int, request: str) -> int:
    """Two questions a picture: the first true, the second not."""
    lines: list[dict] = []
    root = out / "MME/MME_Benchmark_release_version"

    def add(subtask: str, number: int, picture, pair: tuple[str, str]) -> None:
        name = f"{subtask}/{number + 1:04d}.jpg"
        save(picture, root / name)
        (root / name).with_suffix(".txt").write_text(
            "".join(f"{text} Please answer yes or no.\t{answer}\n" for text, answer in zip(pair, ("Yes", "No"))),
            encoding="utf-8")
        for text in pair:
            lines.append({"question_id": name, "image": name, "text": text + request, "category": subtask})

    for subtask, make in (("existence", existence), ("count", count), ("position", position)):
        shown = 0
        for picture, objects in source.scenes(f"mme/{subtask}", (1, 2, 3, 2)):
            if shown == pictures:
                break
            pair = make(source, objects, source.rng(f"mme/{subtask}/questions/{shown}"))
            if pair:
                add(subtask, shown, picture, pair)
                shown += 1
    for number in range(pictures):
        rng = source.rng(f"mme/OCR/{number}")
        word, other = rng.sample(WORDS, 2)
        add("OCR", number, source.texts([word], rng),
            (f'Is the word in the picture "{word}"?', f'Is the word in the picture "{other}"?'))
    for number in range(pictures):
        rng = source.rng(f"mme/numerical_calculation/{number}")
        a, b = rng.randint(2, 20), rng.randint(2, 20)
        wrong = a + b + rng.choice([-2, -1, 1, 2])
        add("numerical_calculation", number, source.texts([f"{a} + {b} = ?"], rng),
            (f"Is the answer {a + b}?", f"Is the answer {wrong}?"))
    write_lines(out / "MME/llava_mme.jsonl", lines)
    return len(lines)

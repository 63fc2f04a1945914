"""VQAv2, VizWiz, GQA, TextVQA, LLaVA-Bench and MM-Vet: questions answered in words."""
import pathlib

from .. import kinds, names, questions
from ..questions import Question
from ..scenes import Placed
from .source import Source, WORDS, save, write_json, write_lines

UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."


def balanced(source: Source, purpose: str, pictures: int, wanted: tuple[str, ...], numbers=(1, 2, 3, 1, 2, 4)):
    """(picture, objects, questions): of each wanted kind one question, where there is one."""
    balance = questions.Balance()
    for number, (picture, objects) in enumerate(source.scenes(purpose, numbers)):
        if number == pictures:
            return
        rng = source.rng(f"{purpose}/questions/{number}")
        found = questions.all_questions(questions.Scene("", objects), source.vocabulary, rng)
        # A name that no training picture has could not be given.
        found = [q for q in found if q.kind != "object" or q.answer in source.vocabulary.kind_of_noun]
        asked = []
        for kind in wanted:
            answer = rng.choice(("yes", "no")) if kind == "presence" else None
            able = [q for q in found if q.kind == kind and answer in (None, q.answer)]
            if able:
                asked.append(able[balance.pick(able, rng)])
        yield picture, objects, asked


def ten_people(question: Question, objects: tuple[Placed, ...]) -> list[str]:
    """Some name the kind instead of the thing."""
    if question.kind == "object" and objects[0].stamp.kind != question.answer:
        return [question.answer] * 7 + [objects[0].stamp.kind] * 3
    return [question.answer] * 10


ANSWER_TYPE = {"presence": "yes/no", "count": "number"}
VQA_KINDS = ("presence", "count", "object", "category", "left_right")


def write_vqav2(source: Source, out: pathlib.Path, pictures: int, request: str) -> int:
    """The validation set with its truth, as the official evaluation reads it, and a tenth as much without truth."""
    listed, annotations = [], []
    for number, (picture, objects, asked) in enumerate(balanced(source, "vqav2/val", pictures, VQA_KINDS)):
        save(picture, out / f"vqav2/val2014/COCO_val2014_{number:012d}.jpg")
        for i, question in enumerate(asked):
            key = {"image_id": number, "question_id": 1000 * number + i}
            listed.append(key | {"question": question.text})
            people = [{"answer": answer, "answer_confidence": "yes", "answer_id": n + 1}
                      for n, answer in enumerate(ten_people(question, objects))]
            annotations.append(key | {"question_type": question.kind, "answers": people,
                                      "multiple_choice_answer": question.answer,
                                      "answer_type": ANSWER_TYPE.get(question.kind, "other")})
    head = {"info": {}, "license": {}, "data_type": "mscoco", "data_subtype": "val2014"}
    write_json(out / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json",
               head | {"task_type": "Open-Ended", "questions": listed})
    write_json(out / "vqav2/v2_mscoco_val2014_annotations.json", head | {"annotations": annotations})

    lines = []
    for number, (picture, _, asked) in enumerate(balanced(source, "vqav2/test", max(1, pictures // 10), VQA_KINDS)):
        name = f"COCO_test2015_{number:012d}.jpg"
        save(picture, out / "vqav2/test2015" / name)
        lines += [{"question_id": 1000 * number + i, "image": name, "text": q.text + request, "category": "default"}
                  for i, q in enumerate(asked)]
    write_lines(out / "vqav2/llava_vqav2_mscoco_test-dev2015.jsonl", lines)
    # The server wants an answer for all of these; not all are asked.
    write_lines(out / "vqav2/llava_vqav2_mscoco_test2015.jsonl",
                lines + [{**lines[-1], "question_id": lines[-1]["question_id"] + 1}])
    return len(listed) + len(lines)


def write_vizwiz(source: Source, out: pathlib.Path, pictures: int, request: str) -> int:
    lines = []
    for number, (picture, _, asked) in enumerate(balanced(source, "vizwiz", pictures, ("object",), numbers=(1,))):
        name = f"VizWiz_test_{number:08d}.jpg"
        save(picture, out / "vizwiz/test" / name)
        text = (asked[0].text if asked else "What is it?") + (UNANSWERABLE + request if request else "")
        lines.append({"question_id": number, "image": name, "text": text, "category": "default"})
    write_lines(out / "vizwiz/llava_test.jsonl", lines)
    return len(lines)


# Of each kind of question: structural type, semantic type, the steps of its program.
GQA_TYPES = {
    "presence": ("verify", "obj", ("select", "exist")),
    "left_right": ("choose", "rel", ("select", "choose rel")),
    "category": ("query", "cat", ("select", "query: type")),
    "object": ("query", "obj", ("select", "query: name")),
}


def write_gqa(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    entries = {}
    for number, (picture, _, asked) in enumerate(balanced(source, "gqa", pictures, tuple(GQA_TYPES))):
        save(picture, out / f"gqa/data/images/n{number:06d}.jpg")
        for question in asked:
            structural, semantic, steps = GQA_TYPES[question.kind]
            entries[f"{len(entries):08d}"] = {
                "question": question.text, "answer": question.answer, "imageId": f"n{number:06d}", "isBalanced": True,
                "groups": {"global": question.kind, "local": None},
                "types": {"structural": structural, "semantic": semantic, "detailed": question.kind},
                "semantic": [{"operation": step, "argument": "thing", "dependencies": []} for step in steps]}
    write_json(out / "gqa/data/testdev_balanced_questions.json", entries)
    return len(entries)


def write_text_vqa(source: Source, out: pathlib.Path, pictures: int, request: str) -> int:
    """Two words in a picture, one of them asked for; both are told, as the published prompts do."""
    lines, data = [], []
    for number in range(pictures):
        rng = source.rng(f"textvqa/{number}")
        words = rng.sample(WORDS, 2)
        which = rng.randrange(2)
        name = f"{rng.getrandbits(64):016x}"
        save(source.texts(words, rng), out / f"textvqa/train_images/{name}.jpg")
        question = f"What is the {('upper', 'lower')[which]} word?"
        told = ", ".join(rng.sample(words, 2))
        lines.append({"question_id": name, "image": f"{name}.jpg", "category": "default",
                      "text": f"{question}\nReference OCR token: {told}{request}"})
        data.append({"question_id": number, "image_id": name, "question": question,
                     "answers": [words[which].lower()] * 10})
    write_lines(out / "textvqa/llava_textvqa_val_v051_ocr.jsonl", lines)
    write_json(out / "textvqa/TextVQA_0.5.1_val.json", {"dataset_type": "val", "dataset_version": "0.5.1", "data": data})
    return len(lines)


def named(placed: Placed) -> str:
    noun = placed.stamp.noun
    return kinds.KINDS[placed.stamp.kind][0] if noun is None or noun == placed.stamp.kind else names.with_article(noun)


def description(objects: tuple[Placed, ...]) -> str:
    return "The picture shows, from left to right, " + ", ".join(named(p) for p in objects) + "."


def counted(number: int) -> str:
    return "There is one." if number == 1 else f"There are {questions.NUMBERS[number]}."


def write_llava_bench(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    """The reference answers stand where GPT-4's are, who was told the same description."""
    folder = out / "llava-bench-in-the-wild"
    lines, contexts, references = [], [], []
    for number, (picture, objects) in enumerate(source.scenes("llava_bench", (1, 2, 3))):
        if number == pictures:
            break
        name = f"{number + 1:03d}.jpg"
        save(picture, folder / "images" / name)
        contexts.append({"id": f"{number + 1:03d}", "image": name, "caption": description(objects)})
        for category, text, answer in (
                ("conv", "How many objects are there?", counted(len(objects))),
                ("detail", "Describe the picture.", description(objects)),
                ("complex", "What might these things be used for or do?", description(objects))):
            lines.append({"question_id": len(lines), "image": name, "category": category, "text": text})
            references.append({"question_id": len(references), "prompt": text, "answer_id": f"truth-{len(references)}",
                               "model_id": "truth", "metadata": {}, "text": answer})
    write_lines(folder / "questions.jsonl", lines)
    write_lines(folder / "context.jsonl", contexts)
    write_lines(folder / "answers_gpt4.jsonl", references)
    return len(lines)


def write_mm_vet(source: Source, out: pathlib.Path, pictures: int, _request: str) -> int:
    entries, lines = {}, []
    for number, (picture, objects) in enumerate(source.scenes("mm_vet", (1, 2, 3))):
        if number == pictures:
            break
        name = f"v1_{number}.jpg"
        rng = source.rng(f"mm_vet/{number}")
        if number % 3 == 2:
            a, b = rng.randint(2, 20), rng.randint(2, 20)
            picture, text, answer, needs = source.texts([f"{a} + {b} = ?"], rng), "What is the sum?", str(a + b), ["ocr", "math"]
        else:
            text, needs = "What things are in the picture, from left to right?", ["rec", "spat"]
            answer = "<AND>".join(p.stamp.noun or p.stamp.kind for p in objects)
        save(picture, out / "mm-vet/images" / name)
        entries[f"v1_{number}"] = {"imagename": name, "question": text, "answer": answer, "capability": needs}
        lines.append({"question_id": number, "image": name, "text": text})
    write_json(out / "mm-vet/mm-vet.json", entries)
    write_lines(out / "mm-vet/llava-mm-vet.jsonl", lines)
    return len(lines)

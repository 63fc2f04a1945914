"""Tiny benchmarks in the published layouts, for tests of `moe-llava eval --data`."""
import base64
import json
import pathlib
import random

from train_tiny_folder import write_png

SHORT = "\nAnswer the question using a single word or phrase."


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, random.Random(str(path.name)))
    return path


def write_pope(folder):
    categories = ("random", "popular", "adversarial")
    questions = [{"question_id": i, "image": f"{i % 2}.png", "text": "Is there a dog?" + SHORT,
                  "category": categories[i // 2]} for i in range(6)]
    write_lines(folder / "pope/llava_pope_test.jsonl", questions)
    for category in categories:
        write_lines(folder / f"pope/coco/coco_pope_{category}.json", [{"label": "yes"}, {"label": "no"}])
    for i in range(2):
        write_picture(folder / f"pope/val2014/{i}.png")


def write_science_qa(folder):
    choices = "\nA. red\nB. green"
    write_json(folder / "scienceqa/llava_test_CQM-A.json", [
        {"id": "1", "image": "1/image.png", "conversations": [{"from": "human", "value": "<image>\nWhich?" + choices}]},
        {"id": "2", "conversations": [{"from": "human", "value": "Why?" + choices}]}])
    write_json(folder / "scienceqa/problems.json",
               {i: {"choices": ["red", "green"], "answer": 0} for i in ("1", "2", "3")})
    write_json(folder / "scienceqa/pid_splits.json", {"train": ["3"], "test": ["1", "2"]})
    write_picture(folder / "scienceqa/images/test/1/image.png")


def write_vqa(folder):
    question = {"image": "a.png", "text": "What is it?" + SHORT}
    write_lines(folder / "vqav2/llava_vqav2_mscoco_test-dev2015.jsonl", [{"question_id": 1, **question}])
    write_lines(folder / "vqav2/llava_vqav2_mscoco_test2015.jsonl", [{"question_id": i} for i in (1, 2)])
    head = {"image_id": 7, "question_id": 7001}
    write_json(folder / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json",
               {"questions": [head | {"question": "What is it?"}]})
    write_json(folder / "vqav2/v2_mscoco_val2014_annotations.json", {
        "annotations": [head | {"answer_type": "other", "answers": [{"answer": "a square"}] * 10}]})
    write_picture(folder / "vqav2/val2014/COCO_val2014_000000000007.jpg")
    write_lines(folder / "vizwiz/llava_test.jsonl", [{"question_id": 0, **question}])
    write_lines(folder / "textvqa/llava_textvqa_val_v051_ocr.jsonl", [
        {"question_id": "im", "image": "a.png", "text": "What does it say?\nReference OCR token: STOP" + SHORT}])
    write_json(folder / "textvqa/TextVQA_0.5.1_val.json", {
        "data": [{"image_id": "im", "question": "What does it say?", "answers": ["stop"] * 10}]})
    write_json(folder / "gqa/data/testdev_balanced_questions.json", {"01": {
        "question": "Is it red?", "answer": "yes", "imageId": "1", "isBalanced": True,
        "groups": {"global": None}, "types": {"structural": "verify", "semantic": "attr"},
        "semantic": [{"operation": "select", "argument": "it"}]}})
    for image in ("vqav2/test2015/a.png", "vizwiz/test/a.png", "textvqa/train_images/a.png", "gqa/data/images/1.jpg"):
        write_picture(folder / image)


def write_mme(folder):
    questions = ("Is it red?", "Is it blue?")
    write_lines(folder / "MME/llava_mme.jsonl", [
        {"question_id": "OCR/1.png", "image": "OCR/1.png", "text": question + SHORT} for question in questions])
    truth = write_picture(folder / "MME/MME_Benchmark_release_version/OCR/1.png").with_suffix(".txt")
    truth.write_text("".join(f"{question} Please answer yes or no.\t{answer}\n"
                             for question, answer in zip(questions, ("Yes", "No"))), encoding="utf-8")


def write_mmbench(folder):
    image = base64.b64encode(write_picture(folder / "mmbench/1.png").read_bytes()).decode()
    rows = [("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image"),
            ("1", "Which?", "", "red", "green", "blue", "", "B", "colour", image),
            ("2", "What?", "Look.", "a cat", "a dog", "", "", "A", "object", "1")]
    for name in ("mmbench_dev_20230712", "mmbench_dev_cn_20231003"):
        (folder / f"mmbench/{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def write_seed_bench(folder):
    write_lines(folder / "seed_bench/llava-seed-bench.jsonl", [
        {"question_id": 5, "image": "a.png", "text": "Which?\nA. red\nB. green\nAnswer with the option's letter."}])
    write_json(folder / "seed_bench/SEED-Bench.json", {"question_type": {"Scene": 1}, "questions": [
        {"question_id": "5", "question_type_id": 1, "data_type": "image", "answer": "A"}]})
    write_picture(folder / "seed_bench/a.png")


def write_open_ended(folder):
    for name, questions in (("llava-bench-in-the-wild", "questions"), ("mm-vet", "llava-mm-vet")):
        write_lines(folder / name / f"{questions}.jsonl",
                    [{"question_id": 0, "image": "a.png", "text": "Describe it.", "category": "detail"}])
        write_picture(folder / name / "images/a.png")
    write_lines(folder / "llava-bench-in-the-wild/context.jsonl", [{"image": "a.png", "caption": "A cat and a dog."}])
    write_lines(folder / "llava-bench-in-the-wild/answers_gpt4.jsonl", [{"question_id": 0, "text": "A cat and a dog."}])
    write_json(folder / "mm-vet/mm-vet.json", {
        "v1_0": {"question": "Describe it.", "answer": "a cat<AND>a dog", "capability": ["rec"]}})


def write_benchmarks(folder):
    folder = pathlib.Path(folder)
    for write in (write_pope, write_science_qa, write_vqa, write_mme, write_mmbench, write_seed_bench,
                  write_open_ended):
        write(folder)

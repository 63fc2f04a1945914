#!/usr/bin/env python3
"""Writes made-up training data of the size and shape of llava_v1_5_mix665k.json: to see how long reading takes.

Questions about pictures with one to ten turns and long conversations without, about 1.4 KB a record, 6 % text only.
The same arguments give the same bytes.
"""
import argparse
import bisect
import itertools
import json
import os
import pathlib
import random
import struct
import zlib

COMMON = """the of a and in is to on with it what are there this that picture image from at by for as color white black
red blue green two three man woman people person standing sitting table street car dog cat building tree water sky
background left right side front near large small holding wearing shirt looking visible answer question using single
word or phrase describe which how many does do not yes no can be seen has have their his her other some one an""".split()
SYLLABLES = [a + b for a in "b br c ch d f g gr h k l m n p pl r s st t tr v w".split() for b in "a e i o u ar en in on".split()]
LINKS = 50_000  # of one file; file systems allow 65,000


def sentences(rng: random.Random, count: int) -> list[str]:
    rare = ["".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(20_000)]
    words = COMMON + rare
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(words))))

    def word() -> str:
        return words[bisect.bisect_left(weights, rng.random() * weights[-1])]

    return [" ".join(word() for _ in range(rng.randint(5, 18))) for _ in range(count)]


def record(number: int, rng: random.Random, pool: list[str], pictures: int) -> dict:
    text_only = rng.random() < 0.06
    turns = rng.randint(2, 8) if text_only else rng.randint(1, 10)
    answer_sentences = 8 if text_only else 2
    conversations = []
    for turn in range(turns):
        question = rng.choice(pool).capitalize() + "?"
        if turn == 0 and not text_only:
            question = "<image>\n" + question
        answer = " ".join(rng.choice(pool).capitalize() + "." for _ in range(rng.randint(1, answer_sentences)))
        conversations += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    made = {"id": f"{number:012d}"}
    if not text_only:
        made["image"] = picture_name(rng.randrange(pictures))
    return made | {"conversations": conversations}


def picture_name(number: int) -> str:
    return f"coco/train2017/{number:012d}.png"


def png(size: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(3 * size)) * size
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_pictures(folder: pathlib.Path, count: int) -> None:
    """Links to a few small files."""
    for number in range(count):
        path = folder / picture_name(number)
        if number == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        if number % LINKS == 0:
            path.write_bytes(png(16))
            target = path
        else:
            os.link(target, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog="Example: tools/make_llava_data.py --out /tmp/mix665k --records 665000")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="gets data.json (or .jsonl) and images/")
    parser.add_argument("--records", type=int, default=665_000)
    parser.add_argument("--pictures", type=int, default=350_000, help="distinct ones (default %(default)s)")
    parser.add_argument("--jsonl", action="store_true", help="JSON Lines instead of one list")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    args.out.mkdir(parents=True)
    pool = sentences(rng, 100_000)
    with open(args.out / ("data.jsonl" if args.jsonl else "data.json"), "w", encoding="utf-8") as file:
        for number in range(args.records):
            if not args.jsonl:
                file.write("[\n" if number == 0 else ",\n")
            file.write(json.dumps(record(number, rng, pool, args.pictures)))
            if args.jsonl:
                file.write("\n")
        if not args.jsonl:
            file.write("\n]\n")
    write_pictures(args.out / "images", args.pictures)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes what Pillow makes of pictures, for the tests of src/image.

    python3 -m venv /tmp/pillow && /tmp/pillow/bin/pip install pillow==12.2.0
    /tmp/pillow/bin/python tools/dump_pillow.py tests/golden/image

Pillow must be 12.2.0: 13.0 resizes tall pictures with the vertical pass first and gives other bytes.

resize.json   [{width, height, pattern, seed, to: [[width, height, crc32], ...]}, ...]
              bicubic; the sources are drawn by formula (`draw`), and again by the test.
samples/      one small file for every kind of picture the decoders take.
samples.json  {file: {width, height, crc32, upright: [width, height, crc32]}}: the RGB bytes of
              convert("RGB"), and those after ImageOps.exif_transpose. What differs between builds of
              libjpeg would differ here too; the Debian 12 build (2.1.5) agrees with Pillow's (3.1.4).
"""
import io
import json
import pathlib
import random
import struct
import sys
import zlib

import PIL
from PIL import Image, ImageOps

MASK = 0xFFFFFFFF


def draw(width, height, pattern, seed):
    """RGB bytes: noise (top byte of an LCG), gradient, or checks of 0 and 255, where a bicubic overshoots."""
    out = bytearray()
    state = seed
    for y in range(height):
        for x in range(width):
            for c in range(3):
                if pattern == "noise":
                    state = (state * 1664525 + 1013904223) & MASK
                    out.append(state >> 24)
                elif pattern == "gradient":
                    out.append((x * (3 + c) + y * (7 - 2 * c) + seed) & 255)
                else:
                    out.append(255 if ((x // 3) + (y // 2) + c + seed) % 2 else 0)
    return bytes(out)


def picture(width, height, pattern="gradient", seed=5):
    return Image.frombytes("RGB", (width, height), draw(width, height, pattern, seed))


def resize_cases():
    rng = random.Random(20240129)
    sizes = [(1, 1), (1, 50), (50, 1), (2, 3), (3, 200), (200, 3), (64, 64), (56, 56)]
    sizes += [(rng.randint(1, 160), rng.randint(1, 160)) for _ in range(22)]
    cases = []
    for seed, (width, height) in enumerate(sizes):
        pattern = ("noise", "gradient", "checks")[seed % 3]
        source = picture(width, height, pattern, seed)
        targets = [(56, 56), (width, 31), (45, height), (1, 1), (1, 17), (width * 3 + 1, height * 2 + 1)]
        targets += [(rng.randint(1, 200), rng.randint(1, 200)) for _ in range(3)]
        to = [[w, h, zlib.crc32(source.resize((w, h), Image.Resampling.BICUBIC).tobytes())] for w, h in targets]
        cases.append({"width": width, "height": height, "pattern": pattern, "seed": seed, "to": to})
    return cases


# --- PNG, written by hand: Pillow writes few of the kinds it reads ---

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(colour, depth, interlaced=False, extra=b"", width=13, height=9, seed=1):
    rng = random.Random(seed)
    samples = [[[rng.randrange(1 << depth) for _ in range(CHANNELS[colour])] for _ in range(width)]
               for _ in range(height)]
    if depth == 16 and colour == GREY:  # Pillow clips these at 255: let half of them be below
        samples = [[[v >> 7] for (v,) in row] for row in samples]
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        for y in range(y0, height, dy):
            bits = "".join(format(v, f"0{depth}b") for x in range(x0, width, dx) for v in samples[y][x])
            if bits:
                bits += "0" * (-len(bits) % 8)
                raw += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) +
            chunk(b"IEND", b""))


def png_samples():
    palette = bytes(random.Random(3).randrange(256) for _ in range(3 * 200))
    kinds = [(GREY, d) for d in (1, 2, 4, 8, 16)] + [(c, d) for c in (RGB, GREY_ALPHA, RGBA) for d in (8, 16)]
    for colour, depth in kinds:
        name = {GREY: "grey", RGB: "rgb", GREY_ALPHA: "grey_alpha", RGBA: "rgba"}[colour]
        yield f"{name}{depth}.png", png(colour, depth)
        yield f"{name}{depth}_interlaced.png", png(colour, depth, interlaced=True)
    for depth in (1, 2, 4, 8):
        plte = chunk(b"PLTE", palette[: 3 << depth])  # of 8 bits, 56 indices are beyond the palette
        yield f"palette{depth}.png", png(PALETTE, depth, extra=plte)
        yield f"palette{depth}_interlaced.png", png(PALETTE, depth, interlaced=True, extra=plte)
    yield "palette_trns.png", png(PALETTE, 8, extra=chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(range(0, 200, 2))))
    yield "grey_trns.png", png(GREY, 8, extra=chunk(b"tRNS", b"\0\x10"))
    yield "rgb_trns.png", png(RGB, 8, extra=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    yield "rgb_gamma.png", png(RGB, 8, extra=chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"a\0b"))
    yield "rgb_exif.png", png(RGB, 8, extra=chunk(b"eXIf", exif(6)[6:]))


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def save(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg_samples():
    base = picture(37, 29)
    noisy = picture(21, 18, "noise")
    yield "420.jpg", save(base, "JPEG", quality=85, subsampling=2)
    yield "422.jpg", save(base, "JPEG", quality=85, subsampling=1)
    yield "444.jpg", save(noisy, "JPEG", quality=95, subsampling=0)
    yield "420_noise.jpg", save(noisy, "JPEG", quality=60, subsampling=2)
    yield "rgb.jpg", save(base, "JPEG", quality=85, keep_rgb=True)
    yield "grey.jpg", save(base.convert("L"), "JPEG", quality=85)
    yield "progressive.jpg", save(base, "JPEG", quality=85, progressive=True)
    yield "restart.jpg", save(base, "JPEG", quality=85, restart_marker_blocks=1)
    cmyk = save(base.convert("CMYK"), "JPEG", quality=85)
    yield "cmyk.jpg", cmyk
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12:]
    for orientation in range(1, 9):
        yield f"exif{orientation}.jpg", save(base, "JPEG", quality=75, exif=exif(orientation))


def webp_samples():
    base = picture(37, 29)
    alpha = base.copy()
    alpha.putalpha(picture(37, 29, "gradient", 99).getchannel(0))
    yield "lossy.webp", save(base, "WEBP", quality=80)
    yield "lossless.webp", save(picture(21, 18, "noise"), "WEBP", lossless=True)
    yield "lossy_alpha.webp", save(alpha, "WEBP", quality=80)
    yield "lossless_alpha.webp", save(alpha, "WEBP", lossless=True, exact=True)
    yield "exif.webp", save(base, "WEBP", quality=50, exif=exif(8))
    second = base.copy()
    second.paste((250, 5, 5), (8, 6, 20, 16))
    yield "animated.webp", save(base, "WEBP", quality=60, save_all=True, append_images=[second], duration=50)
    yield "animated_offset.webp", save(offset_rgba(), "WEBP", lossless=True, save_all=True,
                                       append_images=[alpha], duration=50)


def offset_rgba():
    frame = Image.new("RGBA", (37, 29), (0, 0, 0, 0))
    frame.paste((200, 100, 50, 255), (10, 8, 30, 20))
    return frame


# --- GIF, written by hand: every code is preceded by a clear code, so no dictionary is needed ---

def gif(screen, box, indices, palette=b"", local=b"", bits=2, transparent=None, interlaced=False):
    clear, position, stream = 1 << bits, 0, 0
    for code in [c for index in indices for c in (clear, index)] + [clear + 1]:
        stream |= code << position
        position += bits + 1
    data = stream.to_bytes((position + 7) // 8, "little")

    def table(colours):
        return (0x80 | ((len(colours) // 3).bit_length() - 2)) if colours else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, table(palette), 0, 0) + palette
    if transparent is not None:
        out += b"!\xf9\4" + bytes([1, 0, 0, transparent, 0])
    out += b"," + struct.pack("<HHHHB", *box, table(local) | (0x40 if interlaced else 0)) + local + bytes([bits])
    for at in range(0, len(data), 255):
        out += bytes([len(data[at:at + 255])]) + data[at:at + 255]
    return out + b"\0;"


def gif_samples():
    colours = bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    other = bytes([5, 6, 7, 250, 251, 252])
    rng = random.Random(4)
    indices = [rng.randrange(4) for _ in range(7 * 11)]
    yield "plain.gif", save(picture(37, 29).quantize(64), "GIF")
    yield "interlaced.gif", gif((7, 11), (0, 0, 7, 11), indices, colours, interlaced=True)
    yield "transparent.gif", gif((9, 13), (1, 1, 7, 11), indices, colours, transparent=2)
    yield "offset.gif", gif((9, 13), (2, 2, 7, 11), indices, colours)
    yield "local.gif", gif((7, 11), (0, 0, 7, 11), [i % 2 for i in indices], colours, local=other)
    yield "short_palette.gif", gif((7, 11), (0, 0, 7, 11), indices, other)
    yield "no_palette.gif", gif((8, 11), (0, 0, 7, 11), indices)
    yield "grey_ramp.gif", gif((7, 11), (0, 0, 7, 11), indices, bytes([0, 0, 0, 1, 1, 1]))
    yield "beyond_screen.gif", gif((3, 3), (2, 1, 7, 11), indices, colours)
    yield "animated.gif", save(picture(16, 12), "GIF", save_all=True, append_images=[picture(16, 12, "checks")])


def described(data):
    with Image.open(io.BytesIO(data)) as image:
        plain = image.convert("RGB")
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return {"width": plain.width, "height": plain.height, "crc32": zlib.crc32(plain.tobytes()),
            "upright": [*upright.size, zlib.crc32(upright.tobytes())]}


def main():
    if len(sys.argv) != 2 or PIL.__version__ != "12.2.0":
        sys.exit(f"usage: dump_pillow.py FOLDER, with Pillow 12.2.0 (this is {PIL.__version__})")
    folder = pathlib.Path(sys.argv[1])
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    with open(folder / "resize.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in resize_cases()) + "\n]\n")
    samples = {}
    for generator in (png_samples, jpeg_samples, webp_samples, gif_samples):
        for name, data in generator():
            (folder / "samples" / name).write_bytes(data)
            samples[name] = described(data)
    with open(folder / "samples.json", "w") as file:
        rows = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in samples.items()]
        file.write("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{len(samples)} samples")


if __name__ == "__main__":
    main()

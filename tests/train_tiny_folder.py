"""A random vision-language model small enough to train in a second, and data for it, written byte by byte in the
published layouts: config.json, model.safetensors, tokenizer.json, PNG pictures, LLaVA JSON."""
import array
import json
import pathlib
import random
import struct
import sys
import zlib

HIDDEN, INNER, LAYERS, HEADS, VOCAB = 32, 64, 2, 4, 258
TOWER, TOWER_LAYERS, SIDE, PATCH = 16, 2, 16, 8


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def write_tokenizer(folder):
    vocab = {char: byte for byte, char in byte_alphabet().items()}
    special = ["<|endoftext|>", "<|pad|>"]
    added = [{"id": 256 + i, "content": text, "special": True, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False} for i, text in enumerate(special)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": level, "post_processor": None, "decoder": level, "model": model}))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "GPT2Tokenizer", "eos_token": special[0], "pad_token": special[1]}))


def tensor_shapes():
    shapes = {"model.embed_tokens.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN],
              "lm_head.weight": [VOCAB, HIDDEN]}
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{norm}.weight"] = [HIDDEN]
        for proj in "qkvo":
            shapes[f"{layer}self_attn.{proj}_proj.weight"] = [HIDDEN, HIDDEN]
        for proj in ("gate", "up"):
            shapes[f"{layer}mlp.{proj}_proj.weight"] = [INNER, HIDDEN]
        shapes[f"{layer}mlp.down_proj.weight"] = [HIDDEN, INNER]
    projector = "model.mm_projector.image_spatial_proj."
    shapes |= {projector + "0.weight": [HIDDEN, TOWER], projector + "0.bias": [HIDDEN],
               projector + "2.weight": [HIDDEN, HIDDEN], projector + "2.bias": [HIDDEN]}
    vision = "model.image_tower.image_tower.vision_model."
    shapes |= {vision + "embeddings.class_embedding": [TOWER],
               vision + "embeddings.patch_embedding.weight": [TOWER, 3, PATCH, PATCH],
               vision + "embeddings.position_embedding.weight": [1 + (SIDE // PATCH) ** 2, TOWER]}
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"{vision}{norm}.weight": [TOWER], f"{vision}{norm}.bias": [TOWER]}
    for i in range(TOWER_LAYERS):
        layer = f"{vision}encoder.layers.{i}."
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.weight": [TOWER], f"{layer}{norm}.bias": [TOWER]}
        for proj in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{layer}self_attn.{proj}.weight": [TOWER, TOWER], f"{layer}self_attn.{proj}.bias": [TOWER]}
        shapes |= {layer + "mlp.fc1.weight": [2 * TOWER, TOWER], layer + "mlp.fc1.bias": [2 * TOWER],
                   layer + "mlp.fc2.weight": [TOWER, 2 * TOWER], layer + "mlp.fc2.bias": [TOWER]}
    return shapes


def write_weights(path, shapes, rng):
    header, blobs, offset = {}, [], 0
    for name, shape in shapes.items():
        count = 1
        for dim in shape:
            count *= dim
        is_norm = "norm" in name and name.endswith("weight")
        values = array.array("f", [1.0] * count if is_norm else [rng.uniform(-0.2, 0.2) for _ in range(count)])
        if sys.byteorder == "big":
            values.byteswap()
        blob = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


VISION_CONFIG = {"model_type": "clip_vision_model", "hidden_size": TOWER, "intermediate_size": 2 * TOWER,
                 "num_hidden_layers": TOWER_LAYERS, "num_attention_heads": 2, "image_size": SIDE, "patch_size": PATCH,
                 "layer_norm_eps": 1e-5, "hidden_act": "quick_gelu"}
TEXT_CONFIG = {"vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
               "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "rms_norm_eps": 1e-5, "hidden_act": "silu",
               "tie_word_embeddings": False, "eos_token_id": 256, "pad_token_id": 257}
IN_CHECKPOINT = "model.image_tower.image_tower."


def write_preprocessor(folder):
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "size": {"shortest_edge": SIDE}, "do_center_crop": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}))


def write_model(folder, seed=1):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TEXT_CONFIG | {
        "model_type": "llava_llama", "architectures": ["LlavaLlamaForCausalLM"], "conv_version": "phi",
        "mm_image_tower": "openai/tiny-test-tower", "mm_hidden_size": TOWER, "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "image_projector_type": "mlp2x_gelu", "image_aspect_ratio": "pad",
        "vision_config": VISION_CONFIG}))
    write_preprocessor(folder)
    write_tokenizer(folder)
    write_weights(folder / "model.safetensors", tensor_shapes(), random.Random(seed))


def write_language_model(folder, seed=1):
    """The same decoder before it has learned to see."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(TEXT_CONFIG | {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "conv_version": "phi"}))
    write_tokenizer(folder)
    shapes = {name: shape for name, shape in tensor_shapes().items() if ".mm_" not in name and ".image_" not in name}
    write_weights(folder / "model.safetensors", shapes, random.Random(seed))


def write_tower(folder, seed=1):
    """A CLIP vision tower in a folder of its own."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(VISION_CONFIG))
    write_preprocessor(folder)
    shapes = {name.removeprefix(IN_CHECKPOINT): shape for name, shape in tensor_shapes().items()
              if name.startswith(IN_CHECKPOINT)}
    write_weights(folder / "model.safetensors", shapes, random.Random(seed))


def write_npy(path, shape, values):
    """NumPy's format 1.0: float32, little-endian."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
                     struct.pack(f"<{len(values)}f", *values))


def write_png(path, rng, width=20, height=16):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(rng.randrange(256) for _ in range(3 * width)) for _ in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_data(folder, samples=40, pictures=10, seed=2):
    """data.json and images/; every fourth sample is text only."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True)
    for i in range(pictures):
        write_png(folder / "images" / f"{i}.png", rng)
    records = []
    for i in range(samples):
        question = "What is this" + " please" * rng.randrange(4) + "?"
        record = {"id": f"sample {i}", "conversations": [
            {"from": "human", "value": question}, {"from": "gpt", "value": f"It is number {i % pictures}."}]}
        if i % 4:
            record["image"] = f"{i % pictures}.png"
            record["conversations"][0]["value"] = "<image>\n" + question
        records.append(record)
    (folder / "data.json").write_text(json.dumps(records))


def write_all(folder):
    folder = pathlib.Path(folder)
    write_model(folder / "model")
    write_data(folder)


def train_arguments(program, folder, output, *extra, stage=3):
    """A run over the folder of write_all."""
    experts = ["--num_experts", "3"] if stage == 3 else []
    return [str(program), "train", "--stage", str(stage), "--model_name_or_path", str(folder / "model"), "--data_path",
            str(folder / "data.json"), "--image_folder", str(folder / "images"), "--output_dir", str(output), *experts,
            "--per_device_train_batch_size", "3", "--gradient_accumulation_steps", "2", "--learning_rate", "1e-3",
            "--max_steps", "40", "--save_steps", "4", "--threads", "1", *extra]

"""The tiny models of tests/golden as transformers has them, and in PEFT: what check_peft.py and dump_peft.py have in
common. A `base` is a folder in tests/golden; T tokens of its prompt, the picture's among them, V of its vocabulary."""
import json

import peft
import torch
import transformers
from safetensors.torch import load_file

import dump_reference as reference

GOLDEN = reference.GOLDEN
LLAMA, PHI, MISTRAL, QWEN2 = "llama/ckpt_dense", "phi/ckpt_dense", "mistral/ckpt", "qwen2/ckpt"
MINICPM, SIGLIP = "minicpm/ckpt", "siglip/ckpt"  # the second is a dense qwen2
CLASSES = {LLAMA: "Llama", PHI: "Phi", MISTRAL: "Mistral", QWEN2: "Qwen2", MINICPM: "Llama", SIGLIP: "Qwen2"}
GATED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TARGETS = {"phi": ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"], "qwen": ["c_attn", "w1", "w2", "mlp.c_proj"]}
PATTERNS = {"use_rslora": True, "target_modules": ["layers.0.self_attn.q_proj", "up_proj", "layers.1.mlp.down_proj"],
            "rank_pattern": {"up_proj": 1, "layers.1.mlp.down_proj": 3}, "alpha_pattern": {"q_proj": 3, "up_proj": 4}}
# What the program names when it refuses, and what PEFT was told.
REFUSED = {"use_dora": {"use_dora": True}, "json: bias": {"bias": "lora_only"}, "lora_bias": {"lora_bias": True},
           "modules_to_save": {"modules_to_save": ["lm_head"]}, "init_lora_weights": {"init_lora_weights": "pissa"},
           "trainable_token_indices": {"trainable_token_indices": [1, 2]},
           "layer_replication": {"layer_replication": [[0, 4], [2, 4]]},
           "rank_pattern": {"rank_pattern": {r".*\.q_proj": 3}},
           "alpha_pattern: two": {"alpha_pattern": {"q_proj": 3, "layers.1.self_attn.q_proj": 5}},
           "alpha_pattern: another": {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"self_attn.q_proj": 5}},
           "lm_head.base_layer.weight": {"target_modules": ["lm_head"]},
           "embed_tokens.lora_embedding_A": {"target_modules": ["embed_tokens"]},
           "gate.wg.lora_*": {"target_modules": ["wg"]},
           "image_spatial_proj.0.lora_*": {"target_modules": ["q_proj", "image_spatial_proj.0"]}}


def tensors_of(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    for file in sorted(folder.glob("pytorch_model*.bin")):
        tensors |= torch.load(file, weights_only=True)
    return {name: tensor.float() for name, tensor in tensors.items() if ".image_tower." not in name}


def load_base(base, later_experts=()):
    """transformers' model with the projector and the experts of MoE-LLaVA, named as its files name them."""
    fields = json.loads((GOLDEN / base / "config.json").read_text())
    config = getattr(transformers, CLASSES[base] + "Config")(**fields, attn_implementation="eager")
    model = getattr(transformers, CLASSES[base] + "ForCausalLM")(config).eval()
    reference.add_projector(model, fields["mm_hidden_size"])
    reference.add_experts(model, fields.get("moe", {}).get("moe_layers_idx", []))
    missing, unexpected = model.load_state_dict(tensors_of(GOLDEN / base), strict=False)
    if unexpected or set(missing) - {"lm_head.weight", "lm_head.bias"}:
        raise SystemExit(f"{base}: not its tensors: {missing} {unexpected}")
    if base == PHI:  # MoE-LLaVA's has none
        model.lm_head.bias = None
    reference.add_experts(model, later_experts)
    return model


def load_skeleton(base):
    """Nothing but linear layers, named as the files name them."""
    root = torch.nn.Module()
    for name, tensor in tensors_of(GOLDEN / base).items():
        if tensor.dim() != 2 or ".lm_head" in name or "embed" in name or "wte" in name:
            continue
        module, (*path, last) = root, name.removesuffix(".weight").split(".")
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        module.add_module(last, torch.nn.Linear(*tensor.shape[::-1], bias=False))
        module._modules[last].weight.copy_(tensor)
    return root


def wrap(base, settings, load=load_base):
    """PEFT's model with matrices as if they had been trained."""
    targets = TARGETS.get(base.split("/")[0], GATED)
    config = peft.LoraConfig(**{"r": 2, "lora_alpha": 6, "target_modules": targets} | settings)
    model = peft.get_peft_model(load(base), config)
    generator = torch.Generator().manual_seed(0)
    for name, matrix in sorted(model.named_parameters()):
        if ".lora_" in name:
            matrix.copy_(torch.randn(matrix.shape, generator=generator) * (0.2 if "lora_B" in name else 0.1))
    return model.eval()


def prompt_of(base):
    return json.loads((GOLDEN / base).parent.joinpath("prompts/p0.json").read_text())["input_ids"]


def logits_of(model, base, vision):
    """[T, V] of the base's prompt about a picture that its tower sees as [N, W]. Adapters stand inside the model."""
    model.double()
    picture = model.model.mm_projector.image_spatial_proj(vision.double())
    embeddings = reference.spliced(model, prompt_of(base), [picture])
    return (reference.minicpm_logits if base == MINICPM else reference.transformers_logits)(model, embeddings)

"""The original's layer and model in PyTorch: experts by dense [tokens, experts, capacity] einsum, as DeepSpeed has them,
in SmolLM2-135M's decoder, and the vision towers in front of it. train_step.py measures it; train_step.cpp has the same
sizes and the same numbers."""
import math

import torch
import torch.nn.functional as F
from torch import nn

# SmolLM2-135M.
VOCAB, WIDTH, INNER, LAYERS, HEADS, KV_HEADS, THETA, EPS = 49152, 576, 1536, 30, 9, 3, 100000, 1e-5
EXPERTS, CAPACITY_FACTOR, BALANCE = 4, 1.5, 0.01
IGNORE = -100


# --- Numbers that both sides make ----------------------------------------------------------------

def hashed(shape, bound, stream):
    x = torch.arange(math.prod(shape)).add_(stream * 0x9e3779b9).bitwise_and_(0xffffffff)
    for _ in range(2):
        x.bitwise_xor_(x >> 16)
        x.mul_(0x45d9f3b).bitwise_and_(0xffffffff)
    x.bitwise_xor_(x >> 16)
    return (x >> 8).float().mul_(1 / (1 << 24)).mul_(2 * bound).sub_(bound).view(shape)


def fill(module):
    with torch.no_grad():
        for stream, (name, tensor) in enumerate(module.named_parameters(), start=10):
            if tensor.dim() < 2:
                tensor.fill_(0 if name.endswith("bias") else 1)
            else:
                tensor.copy_(hashed(tensor.shape, 1 / math.sqrt(tensor.shape[1]), stream))


# --- The original's layer ------------------------------------------------------------------------
# S tokens, E experts, C capacity, M width.

def top2_gating(logits):
    """Combine weights [S, E, C] and the balance loss. The second expert is the second choice, not a sample."""
    tokens = logits.shape[0]
    capacity = math.ceil(tokens / EXPERTS * CAPACITY_FACTOR * 2)
    gates = F.softmax(logits, dim=1)
    first = gates.argmax(dim=1)
    mask1 = F.one_hot(first, EXPERTS)
    second = logits.masked_fill(mask1.bool(), float("-inf")).argmax(dim=1)
    mask2 = F.one_hot(second, EXPERTS)
    location1 = torch.cumsum(mask1, dim=0) - 1
    location2 = torch.cumsum(mask2, dim=0) - 1 + torch.sum(mask1, dim=0, keepdim=True)
    balance = torch.mean(torch.mean(gates, dim=0) * torch.mean(mask1.float(), dim=0)) * EXPERTS * EXPERTS
    mask1 = mask1 * torch.lt(location1, capacity)
    mask2 = mask2 * torch.lt(location2, capacity)
    place1 = torch.sum(location1 * mask1, dim=1)
    place2 = torch.sum(location2 * mask2, dim=1)
    gate1 = torch.einsum("se,se->s", gates, mask1.float())
    gate2 = torch.einsum("se,se->s", gates, mask2.float())
    sums = torch.clamp(gate1 + gate2, min=torch.finfo(gates.dtype).eps)
    gates1 = torch.einsum("s,se->se", gate1 / sums, mask1.float())
    gates2 = torch.einsum("s,se->se", gate2 / sums, mask2.float())
    combine1 = torch.einsum("se,sc->sec", gates1, F.one_hot(place1, capacity).float())
    combine2 = torch.einsum("se,sc->sec", gates2, F.one_hot(place2, capacity).float())
    return combine1 + combine2, balance


class GatedFeedForward(nn.Module):
    """Three matrices: Llama, StableLM, Qwen."""

    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.up_proj = nn.Linear(WIDTH, INNER, bias=False)
        self.down_proj = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class PlainFeedForward(nn.Module):
    """Two matrices: Phi."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, INNER)
        self.fc2 = nn.Linear(INNER, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class DenseDispatch(nn.Module):
    def __init__(self, expert=GatedFeedForward):
        super().__init__()
        self.wg = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(expert() for _ in range(EXPERTS))

    def forward(self, x):
        """x [S, M] -> [S, M] and the balance loss."""
        combine, balance = top2_gating(self.wg(x.float()))
        dispatched = torch.einsum("sec,sm->ecm", combine.bool().type_as(x), x)
        outputs = torch.stack([expert(part) for expert, part in zip(self.experts, dispatched)])
        return torch.einsum("sec,ecm->sm", combine.type_as(x), outputs), balance


# --- The original's model ------------------------------------------------------------------------

class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)).type_as(x)


def rotated(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    """Written out: at these lengths faster on a CPU than the fused kernel."""

    def __init__(self):
        super().__init__()
        self.head = WIDTH // HEADS
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.v_proj = nn.Linear(WIDTH, KV_HEADS * self.head, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, count, _ = x.shape
        q, k, v = (proj(x).view(batch, count, -1, self.head).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head) + mask
        weights = scores.softmax(-1, dtype=torch.float32).type_as(v)
        return self.o_proj((weights @ v).transpose(1, 2).reshape(batch, count, WIDTH))


class Layer(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.input_layernorm = RmsNorm()
        self.self_attn = Attention()
        self.post_attention_layernorm = RmsNorm()
        self.mlp = DenseDispatch() if sparse else GatedFeedForward()

    def forward(self, x, cos, sin, mask):
        """x [B, T, M]; the balance loss is None in dense layers."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        normed = self.post_attention_layernorm(x)
        if not isinstance(self.mlp, DenseDispatch):
            return x + self.mlp(normed), None
        hidden, balance = self.mlp(normed.flatten(0, 1))
        return x + hidden.view_as(x), balance


class Model(nn.Module):
    def __init__(self, picture_width):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB, WIDTH)
        self.layers = nn.ModuleList(Layer(sparse=i % 2 == 0) for i in range(LAYERS))
        self.norm = RmsNorm()
        self.projector = nn.Sequential(nn.Linear(picture_width, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, features, ids, labels):
        x = torch.cat([self.projector(features), self.embed_tokens(ids)], dim=1)
        count = x.shape[1]
        angle = torch.outer(torch.arange(count).float(), THETA ** -(torch.arange(0, 64, 2).float() / 64))
        angle = torch.cat([angle, angle], dim=-1)
        cos, sin = angle.cos().type_as(x), angle.sin().type_as(x)
        mask = torch.full((count, count), float("-inf")).triu(1).type_as(x)
        balances = []
        for layer in self.layers:
            x, balance = layer(x, cos, sin, mask)
            if balance is not None:
                balances.append(balance)
        logits = F.linear(self.norm(x), self.embed_tokens.weight).float()
        entropy = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE)
        return entropy + BALANCE * sum(balances)


# --- EfficientNet-Lite0 ---------------------------------------------------------------------------

class ConvNorm(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, groups):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pad = max((math.ceil(x.shape[2] / stride) - 1) * stride + kernel - x.shape[2], 0)
        return self.norm(self.conv(F.pad(x, (pad // 2, pad - pad // 2) * 2)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        inner = inputs * expansion
        self.skips = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(ConvNorm(inputs, inner, 1, 1, 1), nn.ReLU6()) if expansion > 1 else nn.Identity()
        self.depthwise = nn.Sequential(ConvNorm(inner, inner, kernel, stride, inner), nn.ReLU6())
        self.project = ConvNorm(inner, outputs, 1, 1, 1)

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skips else y


def efficientnet_lite0():
    blocks, width = [ConvNorm(3, 32, 3, 2, 1), nn.ReLU6()], 32
    for repeats, kernel, stride, expansion, outputs in (
            (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
            (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)):
        for i in range(repeats):
            blocks.append(Block(width, outputs, kernel, stride if i == 0 else 1, expansion))
            width = outputs
    return nn.Sequential(*blocks, ConvNorm(320, 1280, 1, 1, 1), nn.ReLU6()).eval()


# --- CLIP-Large, 336 pixels -----------------------------------------------------------------------

class ClipLayer(nn.Module):
    def __init__(self, width, inner, heads):
        super().__init__()
        self.heads = heads
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        normed = self.layer_norm1(x)
        q, k, v = (proj(normed).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for proj in (self.q_proj, self.k_proj, self.v_proj))
        x = x + self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        inner = self.fc1(self.layer_norm2(x))
        return x + self.fc2(inner * torch.sigmoid(1.702 * inner))


class ClipLarge(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, 1024, 14, 14, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(1024))
        self.position_embedding = nn.Parameter(torch.zeros(577, 1024))
        self.pre_layrnorm = nn.LayerNorm(1024)
        self.layers = nn.ModuleList(ClipLayer(1024, 4096, 16) for _ in range(24))

    def forward(self, x):
        patches = self.patch_embedding(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), patches], dim=1) + self.position_embedding
        x = self.pre_layrnorm(x)
        for layer in self.layers:  # Hugging Face runs the last one, too, of which nothing is taken
            x = layer(x)
        return x

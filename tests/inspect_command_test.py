#!/usr/bin/env python3
"""`moe-llava inspect` from outside: what a folder holds, and every reason why it would not load.
Usage: inspect_command_test.py MOE_LLAVA"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

from train_tiny_folder import SIDE, PATCH, TOWER, tensor_shapes, write_model

PROGRAM = None
MOE = {"moe_enable": True, "moe_mode": "sparse", "top_k_experts": 2, "capacity_factor": 1.5,
       "eval_capacity_factor": 2.0, "min_capacity": 0, "use_residual": False, "router_aux_loss_coef": 0.01}
# Published models without weights: fields of config.json, then parameters of the language model, all and active.
PUBLISHED = {
    "phi": ({"model_type": "moe_llava_phi", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 32,
             "num_attention_heads": 32, "vocab_size": 51200, "partial_rotary_factor": 0.4, "hidden_act": "gelu_new",
             "layer_norm_eps": 1e-5}, 5_296_993_280, 3_618_780_160),
    "stablelm": ({"model_type": "moe_llava_stablelm", "hidden_size": 2048, "intermediate_size": 5632,
                  "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 100352,
                  "rope_pct": 0.25, "norm_eps": 1e-5, "use_qkv_bias": True, "hidden_act": "silu"},
                 2_890_321_920, 2_059_800_576),
    "qwen": ({"model_type": "moe_llava_qwen", "hidden_size": 2048, "intermediate_size": 11008,
              "num_hidden_layers": 24, "num_attention_heads": 16, "vocab_size": 151936, "layer_norm_epsilon": 1e-6,
              "rotary_pct": 1.0, "rotary_emb_base": 10000}, 3_054_323_712, 2_242_676_736),
}


def numel(shape):
    count = 1
    for size in shape:
        count *= size
    return count


class InspectCommand(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name) / "model"

    def inspect(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, "inspect", self.folder, *arguments], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_what_a_model_holds(self):
        write_model(self.folder)
        found = json.loads(self.inspect("--json", "--check").stdout)
        shapes = tensor_shapes()
        total = sum(map(numel, shapes.values()))
        decoder = sum(numel(shape) for name, shape in shapes.items() if ".image_" not in name)
        self.assertEqual((found["loads"], found["problems"], found["tensors"]), (True, [], len(shapes)))
        self.assertEqual(found["parameters"], {"total": total, "active": total, "decoder_total": decoder,
                                               "decoder_active": decoder})
        self.assertEqual((found["bytes"], found["dtypes"]), (4 * total, {"F32": 4 * total}))
        self.assertEqual((found["tokens"], found["family"], found["projector"]), (258, "llama", "mlp2x_gelu"))
        self.assertEqual((found["vision"]["tokens"], found["vision"]["hidden_size"]), ((SIDE // PATCH) ** 2, TOWER))
        text = self.inspect().stdout
        self.assertIn("experts     none: a dense model\n", text)
        self.assertIn("loads       yes\n", text)

    def test_the_sizes_of_the_published_models(self):
        self.folder.mkdir()
        for fields, total, active in PUBLISHED.values():
            layers = list(range(0, fields["num_hidden_layers"], 2))
            moe = MOE | {"moe_layers_idx": layers, "num_experts": [4] * len(layers)}
            (self.folder / "config.json").write_text(json.dumps(fields | {"moe": moe}), encoding="utf-8")
            found = json.loads(self.inspect("--json", code=3).stdout)
            self.assertEqual((found["parameters"]["decoder_total"], found["parameters"]["decoder_active"]),
                             (total, active), fields["model_type"])
            self.assertFalse(found["loads"])

    def test_fields_that_nobody_reads_are_noted(self):
        write_model(self.folder)
        path = self.folder / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.py--Model"}, "xyz": 1}), encoding="utf-8")
        found = json.loads(self.inspect("--json").stdout)
        self.assertLess({"auto_map", "xyz"}, set(found["unread_fields"]))
        self.assertFalse(set(found["unread_fields"]) & {"hidden_size", "model_type", "eos_token_id"})
        text = self.inspect().stdout
        self.assertRegex(text, r"unread      \d+ fields of config.json: .*auto_map")
        self.assertIn("auto_map asks to run Python code of the folder, which never happens", text)
        path.write_text(json.dumps(config), encoding="utf-8")
        self.assertNotIn("auto_map", self.inspect().stdout)

    def test_every_reason_is_named(self):
        write_model(self.folder)
        (self.folder / "tokenizer.json").write_text("{", encoding="utf-8")
        path = self.folder / "model.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:start])
        at = start + header["lm_head.weight"]["data_offsets"][0] + 4 * 5
        data[at:at + 4] = struct.pack("<f", float("nan"))
        path.write_bytes(data)
        done = self.inspect("--check", code=3)
        self.assertIn("loads       no\n", done.stdout)
        self.assertIn('tensor "lm_head.weight": not finite: found nan at value 5', done.stderr)
        self.assertIn("tokenizer.json", done.stderr)
        self.assertNotIn("not finite", self.inspect(code=3).stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()

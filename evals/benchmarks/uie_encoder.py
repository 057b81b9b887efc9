"""UIE's encoder as a folder that taggers are trained from: a Chinese encoder (ERNIE 3.0, 4 layers) where the model hub is out of reach.

    python evals/benchmarks/uie_encoder.py FOLDER
    MEDLLM_DATA=corpora python evals/benchmarks/tagger_folds.py cehrner --base FOLDER --base-name uie-nano --work WORK \\
        --freeze 0 --epochs 10 -o evals/results/tagger_cehrner.json

The graph is fetched by hash (``medllm models pull uie-nano``). The encoder is BERT's with a task embedding, which is constant and is
added to those of the token types. Written only if both compute the same pointers.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertModel

from medllm.taggers.encoding import UnitTokenizer
from medllm.taggers.pointers import PointerTagger
from medllm.taggers.sources import SHIPPED
from medllm.weights import pull

LAYER = {
    "attention.self.query": 0,
    "attention.self.key": 1,
    "attention.self.value": 2,
    "attention.output.dense": 3,
    "intermediate.dense": 4,
    "output.dense": 5,
}
HEADS, TOLERANCE = 12, 1e-4
PROMPT, TEXT = "症状", "患者三天前受凉后出现头痛、发热，无恶心、呕吐。"


def convert(graph: Path) -> tuple[BertModel, dict[str, np.ndarray]]:
    """The encoder, and the constants of the graph by name."""
    constants = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in onnx.load(graph).graph.node if node.op_type == "Constant"
    }
    words, positions, types, tasks = (constants[f"embedding_{n}.w_0"] for n in range(4))
    words = words.copy()
    words[0] = 0  # the padding's, as the graph has it
    layers = sum(name.startswith("layer_norm") and name.endswith("w_0") for name in constants) // 2
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=words.shape[1],
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=constants["linear_4.w_0"].shape[1],
        max_position_embeddings=len(positions),
        type_vocab_size=len(types),
        layer_norm_eps=1e-12,
    )
    state = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": types + tasks[0],
    }
    norms = ["embeddings.LayerNorm"] + [f"encoder.layer.{n}.{of}.LayerNorm" for n in range(layers) for of in ("attention.output", "output")]
    for number, name in enumerate(norms):
        state |= {f"{name}.weight": constants[f"layer_norm_{number}.w_0"], f"{name}.bias": constants[f"layer_norm_{number}.b_0"]}
    for layer in range(layers):
        for name, number in LAYER.items():
            own = f"linear_{len(LAYER) * layer + number}"
            state |= {
                f"encoder.layer.{layer}.{name}.weight": constants[f"{own}.w_0"].T,
                f"encoder.layer.{layer}.{name}.bias": constants[f"{own}.b_0"],
            }
    model = BertModel(config, add_pooling_layer=False)
    missing, unexpected = model.load_state_dict({k: torch.tensor(np.ascontiguousarray(v)) for k, v in state.items()}, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        sys.exit(f"the graph is not as expected: {missing} {unexpected}")
    return model.eval(), constants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    graph, vocabulary = pull("uie-nano"), SHIPPED / "uie-nano" / "vocab.txt"
    model, constants = convert(graph)
    tokenizer = UnitTokenizer.of_vocabulary(vocabulary.read_text("utf-8").splitlines())
    prompt, text = tokenizer.encode(PROMPT).ids, tokenizer.encode(TEXT).ids
    wanted, _ = PointerTagger("uie-nano", graph, vocabulary)._run([prompt], text)
    ids = torch.tensor([[tokenizer.start, *prompt, tokenizer.end, *text, tokenizer.end]])
    kinds = torch.tensor([[0] * (len(prompt) + 2) + [1] * (len(text) + 1)])
    with torch.inference_mode():
        hidden = model(input_ids=ids, token_type_ids=kinds).last_hidden_state.numpy()[0, len(prompt) + 2 : -1]
    names = sorted((n for n in constants if n.endswith(".w_0") and constants[n].shape[-1] == 1), key=lambda n: int(n[7:-4]))
    scores = hidden @ constants[names[0]] + constants[names[0].replace(".w_0", ".b_0")]
    difference = float(np.abs(1 / (1 + np.exp(-scores[:, 0])) - wanted[0]).max())
    if not difference < TOLERANCE:
        sys.exit(f"the encoder computes something else: {difference:.2g}")
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json(), "utf-8")
    print(f"{folder}: largest difference of a probability {difference:.1e}")


if __name__ == "__main__":
    main()

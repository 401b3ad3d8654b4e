"""Makes score-*.json: the log-probability of every token of ../score/*.txt, from transformers.

    pip install torch transformers accelerate gguf
    python score.py MODEL.gguf NAME

Eager attention, float32, weights dequantised from the GGUF file, no chat template, and the model's own
begin-of-sequence setting. A probability is given the whole text before it; the first token has none.
"""

import json
import pathlib
import sys

import gguf
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


def begins(path):
    """Whether the file asks for a begin-of-sequence token in front of every text."""
    field = gguf.GGUFReader(path).get_field("tokenizer.ggml.add_bos_token")
    return bool(field.contents()) if field else None


@torch.no_grad()
def main(path, name):
    path = pathlib.Path(path).resolve()
    source = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    here = pathlib.Path(__file__).parent
    begin = begins(path)
    texts = []
    for file in sorted((here.parent / "score").glob("*.txt")):
        ids = tokenizer.encode(file.read_text(), add_special_tokens=False)
        if begin and ids[:1] != [tokenizer.bos_token_id]:
            ids = [tokenizer.bos_token_id, *ids]
        logits = model(torch.tensor([ids])).logits[0].double()
        logprobs = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        print(file.name, len(ids), float((-logprobs.mean()).exp()))
        texts.append(
            {
                "file": file.name,
                "perplexity": round(float((-logprobs.mean()).exp()), 4),
                "ids": ids,
                "logprobs": [None, *(round(value, 4) for value in logprobs.tolist())],
            }
        )
    versions = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    says = f"{versions}, eager attention, float32, weights dequantised from the GGUF"
    lines = ",\n".join(json.dumps(text, separators=(",", ":")) for text in texts)
    (here / f"score-{name}.json").write_text(f'{{"source":"{says}","texts":[\n{lines}\n]}}\n')


main(*sys.argv[1:])

"""Exports an encoder and a decoder's step to ONNX for bench/translation.ts: an LSTM in both directions, an LSTM with general
attention (Luong et al., 2015) and a softmax head, all dense, with random weights.

    python torch_translation.py FOLDER TOKENS WIDTH UNITS

writes encoder.onnx, decoder.onnx, and the weights as weights.bin, f32, with weights.json: names, shapes and places.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

folder = Path(sys.argv[1])
tokens, width, units = map(int, sys.argv[2:])
torch.manual_seed(1)


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(tokens, width)
        self.lstm = torch.nn.LSTM(width, units // 2, bidirectional=True)
        self.score = torch.nn.Linear(units, units, bias=False)

    def forward(self, source):  # [S, 1]
        memory, (h, c) = self.lstm(self.embedding(source))
        side = lambda x: torch.cat([x[0], x[1]], -1)[None]
        return memory[:, 0], self.score(memory)[:, 0], side(h), side(c)


class Decoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(tokens, width)
        self.lstm = torch.nn.LSTM(width, units)
        self.combine = torch.nn.Linear(2 * units, units)
        self.head = torch.nn.Linear(units, tokens)

    def forward(self, token, h, c, memory, keys):  # [1, B], [1, B, units] twice, [S, units] twice
        y, (h, c) = self.lstm(self.embedding(token), (h, c))
        weights = (y[0] @ keys.T).softmax(-1)
        out = torch.tanh(self.combine(torch.cat([weights @ memory, y[0]], -1)))
        return self.head(out).log_softmax(-1), h, c


encoder, decoder = Encoder().eval(), Decoder().eval()
source = torch.zeros(3, 1, dtype=torch.int64)
memory, keys, h, c = encoder(source)
both = lambda x: x.repeat(1, 2, 1)
with torch.no_grad():
    torch.onnx.export(
        encoder, (source,), folder / "encoder.onnx", dynamo=False, input_names=["source"],
        output_names=["memory", "keys", "h", "c"], dynamic_axes={"source": [0], "memory": [0], "keys": [0]},
    )
    torch.onnx.export(
        decoder, (torch.zeros(1, 2, dtype=torch.int64), both(h), both(c), memory, keys), folder / "decoder.onnx", dynamo=False,
        input_names=["token", "h", "c", "memory", "keys"], output_names=["logits", "h_next", "c_next"],
        dynamic_axes={"token": [1], "h": [1], "c": [1], "memory": [0], "keys": [0], "logits": [0], "h_next": [1], "c_next": [1]},
    )
index, data, at = [], [], 0
for part, module in [("encoder", encoder), ("decoder", decoder)]:
    for name, parameter in module.named_parameters():
        values = parameter.detach().numpy().astype(np.float32)
        index.append({"name": f"{part}.{name}", "at": at, "size": values.size})
        data.append(values.ravel())
        at += values.size
np.concatenate(data).tofile(folder / "weights.bin")
(folder / "weights.json").write_text(json.dumps(index))
print(torch.__version__)

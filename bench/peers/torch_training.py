"""Steps of training a dense LSTM language model with an adaptive softmax, in PyTorch, on one thread.

Prints its version, then, for each line that it reads, does a step and prints the seconds that it took.
Arguments: units, layers, words, cutoffs as 2000,..., batch size, steps of backpropagation through time.
"""

import sys
import time

import torch

units, layers, words, cutoffs, batch, bptt = sys.argv[1:]
units, layers, words, batch, bptt = map(int, (units, layers, words, batch, bptt))
torch.set_num_threads(1)
torch.manual_seed(1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(words, units)
        self.lstm = torch.nn.LSTM(units, units, layers)
        self.head = torch.nn.AdaptiveLogSoftmaxWithLoss(units, words, list(map(int, cutoffs.split(","))), head_bias=True)

    def forward(self, tokens, targets, state):
        y, state = self.lstm(self.embedding(tokens), state)
        return self.head(y.flatten(0, 1), targets.flatten()).loss, tuple(part.detach() for part in state)


model = Model()
optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
tokens = torch.randint(0, words, (bptt, batch))
targets = torch.randint(0, words, (bptt, batch))
state = tuple(torch.zeros(layers, batch, units) for _ in range(2))
print(torch.__version__, flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    optimiser.zero_grad(set_to_none=True)
    loss, state = model(tokens, targets, state)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
    optimiser.step()
    print(time.perf_counter() - start, flush=True)

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What is trained: a dense LSTM with an adaptive softmax. */
export interface TorchShape {
  hidden: number;
  layers: number;
  vocabulary: number;
  cutoffs: readonly number[];
  batch: number;
  bptt: number;
}

/**
 * PyTorch on one thread, in a process of its own: the Python of the environment variable PYTHON, or python3, must have
 * torch. `step` does a step of training and returns its seconds, as Python takes them.
 */
export async function torchTraining({ hidden, layers, vocabulary, cutoffs, batch, bptt }: TorchShape) {
  const args = [hidden, layers, vocabulary, cutoffs.join(), batch, bptt].map(String);
  const python = process.env.PYTHON ?? 'python3';
  const child: ChildProcess = spawn(python, ['bench/peers/torch_training.py', ...args], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const failed = new Promise<never>((_, reject) => {
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`${python} has no torch`)));
  });
  failed.catch(() => {});
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async () => String((await Promise.race([lines.next(), failed])).value);
  const version = await next();
  return {
    version,
    async step(): Promise<number> {
      child.stdin!.write('\n');
      return Number(await next());
    },
    close: () => child.kill(),
  };
}

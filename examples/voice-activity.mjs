// A voice-activity detector: 64 band energies every 10 ms in, the probability of speech out. Trains on synthetic frames, dopes
// the LSTM 10x, saves the model and streams it, one frame at a time.
//
//   node examples/voice-activity.mjs [steps]

import { writeFileSync } from 'node:fs';
import { binaryLoss, defaultTrainerOptions, encodeModel, Network, planNetwork, Runtime, Trainer } from 'dopant';
import { load } from 'dopant/infer';

const steps = Number(process.argv[2] ?? 400);
const [BANDS, T, B] = [64, 50, 16];

let seed = 1;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

/** T frames: noise throughout, and now and then a voice, which has a ridge in every few bands and wavers. */
function example() {
  const [x, y] = [new Float32Array(T * BANDS), new Float32Array(T)];
  const loudness = 0.5 + random();
  let [speaks, spacing, phase] = [random() < 0.5, 6 + 6 * random(), 0];
  for (let t = 0; t < T; t++) {
    if (random() < 0.06) speaks = !speaks;
    spacing = Math.min(12, Math.max(6, spacing + 0.3 * (random() - 0.5)));
    phase += 0.2 * random();
    y[t] = speaks ? 1 : 0;
    for (let band = 0; band < BANDS; band++) {
      const ridge = Math.abs(((band + phase) % spacing) / spacing - 0.5) < 0.2 ? loudness : 0;
      x[t * BANDS + band] = random() + random() - 1 + (speaks ? ridge : 0.35 * loudness * random());
    }
  }
  return { x, y };
}

// 1. The network is plain data; the recipe dopes its recurrent layer.
const spec = {
  input: { frames: BANDS },
  layers: [
    { name: 'lstm', kind: 'lstm', units: 64 },
    { name: 'voice', kind: 'linear', outputs: 1 },
  ],
};
const recipe = ({ role }) => (role === 'recurrent' ? { method: 'doped-kron', compression: 10 } : undefined);
const runtime = new Runtime();
const network = Network.create(runtime, spec, 1, { recipe });

// 2. Training: batches from the stream, the loss over all frames.
const plans = planNetwork(spec, recipe);
const nonzeros = network.matrices().map(([name]) => plans.get(name).nonzeros);
const trainer = new Trainer(network, { ...defaultTrainerOptions, learningRate: 0.01 }, steps, nonzeros);
const draw = (n) => Array.from({ length: n }, example);
function loss(tape, batch) {
  const logits = network.forward(tape, network.batch(batch.map(({ x }) => x)));
  // The rows of one time step lie together.
  const targets = Float32Array.from(
    { length: T * batch.length },
    (_, i) => batch[i % batch.length].y[Math.floor(i / batch.length)],
  );
  const { sum, count } = binaryLoss(tape, logits, targets);
  return sum / count;
}
for (let step = 0; step < steps; step++) {
  const batch = draw(B);
  const mean = runtime.scoped(() =>
    trainer.step(
      0,
      B,
      (tape) => loss(tape, batch),
      () => 0,
    ),
  );
  if (step % 100 === 0) console.log(`step ${step}: loss ${mean.toFixed(3)}`);
}

// 3. The file. The second argument is for whoever reads it.
writeFileSync('voice.safetensors', encodeModel(network, { name: 'voice-activity', hop: 0.01 }));

// 4. Streaming: the state is carried from frame to frame.
const model = await load('voice.safetensors');
const session = model.session();
let [right, frames] = [0, 0];
for (const { x, y } of draw(100)) {
  session.reset();
  for (let t = 0; t < T; t++) {
    const [logit] = session.step(x.subarray(t * BANDS, (t + 1) * BANDS));
    if (logit > 0 === y[t] > 0.5) right++;
    frames++;
  }
}
console.log(`accuracy ${(right / frames).toFixed(3)} on ${frames} frames, ${model.memoryBytes} bytes of memory`);

// A second of audio is 100 frames.
const frame = new Float32Array(BANDS).fill(0.5);
const N = 100_000;
for (let i = 0; i < 1000; i++) session.step(frame);
const start = performance.now();
for (let i = 0; i < N; i++) session.step(frame);
console.log(`${((1000 * (performance.now() - start)) / N).toFixed(2)} us a frame`);

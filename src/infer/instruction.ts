// The instructions of a packed matrix, see assembly/step.ts, which imports them from here: this file is AssemblyScript
// too. An enum takes no room in a bundle.

export enum Instruction {
  End,
  Panel,
  Panel8,
  Sell,
  Zero,
  Copy,
  Block4,
  Block8,
  Int8,
  Transpose,
}

/** What `activate` computes. */
export enum Activation {
  Tanh,
  Sigmoid,
  Relu,
}

// A model that runs where sound is made: a token each 128 samples, and its logits sent back after the last.

import { loadSync, LanguageModel as TextModel } from '../../src/infer/index.js';

// TypeScript's DOM library leaves out the scope of a worklet.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(
  name: string,
  processor: new (options: { processorOptions: Work }) => AudioWorkletProcessor,
): void;

export interface Work {
  model: ArrayBuffer;
  tokens: number[];
}

/** What comes back: an error thrown in a worklet would reach the page without its text. */
export type Answer = { logits: number[][] } | { error: string };

registerProcessor(
  'model',
  class extends AudioWorkletProcessor {
    private readonly rest: number[];
    private readonly logits: number[][] = [];
    private readonly next: (token: number) => Float32Array = () => new Float32Array();

    constructor({ processorOptions: { model, tokens } }: { processorOptions: Work }) {
      super();
      this.rest = tokens;
      try {
        const session = new TextModel(loadSync(model));
        this.next = (token) => session.next(token);
      } catch (error) {
        this.fail(error);
      }
    }

    process(): boolean {
      const token = this.rest.shift();
      if (token === undefined) return false;
      try {
        this.logits.push([...this.next(token)]);
        if (this.rest.length === 0) this.answer({ logits: this.logits });
      } catch (error) {
        this.fail(error);
      }
      return true;
    }

    private fail(error: unknown): void {
      this.rest.length = 0;
      this.answer({ error: String((error as Error).stack) });
    }

    private answer(answer: Answer): void {
      this.port.postMessage(answer);
    }
  },
);

/**
 * Work done in parts. Between two parts the caller may show progress, let other events through, or give the work up with
 * `return()`. Yields the share that is done, from 0 to 1.
 */
export type Work<T> = Generator<number, T, void>;

/** Does all parts at once and returns what they come to. */
export function complete<T>(work: Work<T>, onProgress: (share: number) => void = () => {}): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    onProgress(value);
  }
}

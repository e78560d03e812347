/**
 * Work that is done in parts. Between two parts the caller may show progress, handle other events, or abandon the work with
 * `return()`. Yields the share that is done, from 0 to 1.
 */
export type Work<T> = Generator<number, T, void>;

/** Does all parts without a break and returns the result. */
export function complete<T>(work: Work<T>, onProgress: (share: number) => void = () => {}): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    onProgress(value);
  }
}

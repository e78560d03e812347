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

/** Work as one of `total` parts of a whole, of which `done` are done. */
export function* part<T>(work: Work<T>, done: number, total: number): Work<T> {
  for (;;) {
    const { done: ended, value } = work.next();
    if (ended) return value;
    yield (done + value) / total;
  }
}

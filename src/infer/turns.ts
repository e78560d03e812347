/** Milliseconds of work between two turns of the event loop: half a frame. */
const SLICE = 8;

/**
 * Returns a function to call between pieces of work. If 8 ms have passed since the last turn of the event loop, it returns a
 * promise of the next turn, in which a page repaints, timers fire and messages arrive; otherwise undefined.
 */
export function eventLoopTurns(): () => Promise<void> | undefined {
  let start = Date.now();
  return () => {
    // The clock may be set back.
    if (Math.abs(Date.now() - start) < SLICE) return undefined;
    return nextTurn().then(() => {
      start = Date.now();
    });
  };
}

/**
 * Resolves in a new task: a promise alone would not let the event loop go on. Timers are the last resort, since browsers delay
 * them, in a hidden page by a second.
 */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else if (typeof MessageChannel === 'function') {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    } else if (typeof setTimeout === 'function') {
      setTimeout(resolve);
    } else {
      resolve(); // in an AudioWorklet there is no task to wait for
    }
  });
}

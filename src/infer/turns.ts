/** Milliseconds of work after which others get their turn: half of a frame. */
const SLICE = 8;

/**
 * A function to be called between pieces of work. Where 8 ms have passed since the event loop last had its turn, it returns
 * a promise of the next turn, so that a page repaints, timers fire and messages arrive; otherwise undefined.
 */
export function eventLoopTurns(): () => Promise<void> | undefined {
  let start = Date.now();
  return () => {
    // A clock may be set back.
    if (Math.abs(Date.now() - start) < SLICE) return undefined;
    return nextTurn().then(() => {
      start = Date.now();
    });
  };
}

/**
 * Resolves in a task of its own: promises alone would keep the event loop waiting. Timers come last, since browsers hold
 * them back, for a second in a hidden page.
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
      resolve(); // an AudioWorklet has no tasks that a script can wait for
    }
  });
}

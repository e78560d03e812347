// In a page where threads cannot start: what comes of asking for two.

import { Runtime } from '../../src/wasm/runtime.js';
import { whyNoThreads } from '../../src/wasm/threads.js';

const runtime = new Runtime({ threads: 2 });
while (!runtime.ready) await new Promise((resolve) => setTimeout(resolve, 1));
export const answer = { threads: runtime.threads, why: whyNoThreads() ?? '' };

// In a page without shared memory: what comes of asking for two threads.

import { Runtime } from '../../src/wasm/runtime.js';
import { whyNoThreads } from '../../src/wasm/threads.js';

const runtime = new Runtime({ threads: 2 });
export const answer = { threads: runtime.threads, why: whyNoThreads() ?? '' };

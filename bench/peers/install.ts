import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/** Of what is installed for the benchmarks, wherever the bundle is; as all of bench/, run from the root. */
export const PLACE = resolve('bench/package.json');

export const requirePeer = createRequire(PLACE);

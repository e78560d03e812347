import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/** Finds what bench/package.json installs, wherever the bundle is; as all of bench/, run from the root. */
export const requirePeer = createRequire(resolve('bench/package.json'));

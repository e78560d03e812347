// Comes before the tests: the binary that their sessions run on.

import { initSync } from '../../src/infer/index.js';

/** Set by the bundler. */
declare const DOPANT_SIMD: 'plain' | 'relaxed';

initSync({ simd: DOPANT_SIMD });

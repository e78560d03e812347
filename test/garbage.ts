import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Until nothing more is to be had: what finalisers free goes in a later round. */
export function collectGarbage(): void {
  for (let round = 0; round < 5; round++) gc();
}

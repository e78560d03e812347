import { type Bits, ROLES, type Role, type StoredBits } from '../nn/leaves.js';
import type { Quality } from '../tasks/training.js';
import { part, type Work } from '../work.js';
import { measureOf } from './experiment/summary.js';

/** A way to store a model, with what it costs. */
export interface Candidate {
  bits: StoredBits;
  /** Of the file. */
  bytes: number;
  /** Of quality: see lossOf(). */
  loss: number;
}

/** What a role costs by itself, all others being f32, in each number of bits. */
export interface RoleCosts {
  role: Role;
  costs: (Candidate & { own: Bits })[];
}

/** Stores a model so and measures it. */
export type Measure = (bits: StoredBits) => Work<Candidate>;

/** The limit of the search: the most bytes of the file, which sizeOf() gives without a measurement, or the largest loss. */
export type Goal = { bytes: number; sizeOf(bits: StoredBits): number } | { loss: number };

/** From the most bits to the fewest. */
const TRIED: readonly Bits[] = [8, 4, 3, 2];

/** Relative growth of perplexity or squared error, or the fall of accuracy or F1: what a change costs; negative for a gain. */
export function lossOf(before: Quality, after: Quality): number {
  const measure = measureOf(before);
  const [was, is] = [before, after].map((quality) => quality[measure] ?? Number.NaN);
  if (measure === 'f1' || measure === 'accuracy') return was - is;
  return was > 0 ? is / was - 1 : is - was;
}

/** Measures every role of a model by itself in 8, 4, 3 and 2 bits. */
export function* measureRoles(roles: readonly Role[], rest: StoredBits, measure: Measure): Work<RoleCosts[]> {
  const found: RoleCosts[] = [];
  const total = roles.length * TRIED.length;
  let done = 0;
  for (const role of roles) {
    const costs: RoleCosts['costs'] = [];
    for (const own of TRIED) {
      const work = measure({ ...rest, [role]: own });
      costs.push({ ...(yield* part(work, done++, total)), own });
    }
    found.push({ role, costs });
  }
  return found;
}

/**
 * Starts with 8 bits for every role and reduces the bits of one role at a time, in the order of the loss per byte saved, as
 * measured for the roles alone. Stops at the first file that is small enough; or measures the smallest that should not lose too
 * much, and goes back a step while it does. Returns undefined where nothing fits.
 */
export function* chooseBits(
  roles: readonly RoleCosts[],
  rest: StoredBits,
  goal: Goal,
  measure: Measure,
): Work<Candidate | undefined> {
  const path = steps(roles);
  const bitsAt = (n: number): StoredBits => {
    const bits: { [role in Role]?: Bits } = { ...rest };
    for (const { role } of roles) bits[role] = 8;
    for (const { role, to } of path.slice(0, n)) bits[role] = to;
    return bits;
  };
  if ('bytes' in goal) {
    for (let n = 0; n <= path.length; n++) {
      if (goal.sizeOf(bitsAt(n)) <= goal.bytes) return yield* measure(bitsAt(n));
    }
    return undefined;
  }
  let sum = roles.reduce((total, { costs }) => total + Math.max(0, costs[0].loss), 0);
  let n = 0;
  while (n < path.length && sum + path[n].loss <= goal.loss) sum += path[n++].loss;
  for (let tried = 0; n >= 0; n--, tried++) {
    const candidate = yield* part(measure(bitsAt(n)), tried, tried + n + 1);
    if (candidate.loss <= goal.loss) return candidate;
  }
  return undefined;
}

interface Step {
  role: Role;
  to: Bits;
  loss: number;
  saved: number;
}

/** All steps from 8 bits down, each role's in order, the cheapest byte first. */
function steps(roles: readonly RoleCosts[]): Step[] {
  const queues = roles.map(({ role, costs }) =>
    costs.slice(1).map((cost, i): Step => {
      const { loss, bytes } = costs[i];
      return { role, to: cost.own, loss: Math.max(0, cost.loss - loss), saved: bytes - cost.bytes };
    }),
  );
  const path: Step[] = [];
  for (;;) {
    const heads = queues.flatMap((queue) => queue.slice(0, 1));
    if (heads.length === 0) return path;
    const price = ({ loss, saved }: Step) => (saved > 0 ? loss / saved : Number.POSITIVE_INFINITY);
    const best = heads.reduce((least, step) => (price(step) < price(least) ? step : least));
    path.push(best);
    queues.find((queue) => queue[0] === best)!.shift();
  }
}

/** The roles that a model has, in the order of ROLES, but for vectors, which are small. */
export function rolesOf(leaves: readonly { role: Role }[]): Role[] {
  return ROLES.filter((role) => role !== 'vectors' && leaves.some((leaf) => leaf.role === role));
}

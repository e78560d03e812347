import type { TrainRecord } from '../../train/records.js';

/** A run whose records a page draws. */
export interface ReportRun {
  name: string;
  records: TrainRecord[];
  /** Runs of a family have one colour, and dashes of their own. */
  family?: string;
  /** Not drawn until its name is clicked. */
  hidden?: boolean;
}

/** The colour of each family of runs, and its members in order. */
export type Families = Map<string, { colour: number; members: ReportRun[] }>;

/** Groups the runs by family: a run without a family is one by itself. */
export function familiesOf(runs: readonly ReportRun[]): Families {
  const families: Families = new Map();
  for (const run of runs) {
    // Two runs of one name are not one family.
    const key = run.family ?? (families.has(run.name) ? `${run.name} (${families.size + 1})` : run.name);
    const family = families.get(key) ?? { colour: families.size, members: [] };
    family.members.push(run);
    families.set(key, family);
  }
  return families;
}

export const METHODS = ['dense', 'pruned', 'kron', 'lmf', 'hmd', 'doped-kron', 'doped-lmf', 'doped-hmd'] as const;
export type Method = (typeof METHODS)[number];

/** m1, n1, m2, n2 of B (x) C, and so on for more factors. */
export type KronShape = readonly number[];

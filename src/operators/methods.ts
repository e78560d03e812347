export const METHODS = ['dense', 'pruned', 'kron', 'lmf', 'hmd', 'doped-kron', 'doped-lmf', 'doped-hmd'] as const;
export type Method = (typeof METHODS)[number];

/** m1, n1, m2, n2 of B (x) C, and so on for more factors. */
export type KronShape = readonly number[];

/**
 * The default share of a doped matrix's initial variance that its structure has; the rest is the dopants'. Chosen by the
 * records in bench/experiments.
 */
export const STRUCTURE_SHARE = 0.01;

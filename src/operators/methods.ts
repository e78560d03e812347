export const METHODS = ['dense', 'pruned', 'kron', 'lmf', 'hmd', 'doped-kron', 'doped-lmf', 'doped-hmd'] as const;
export type Method = (typeof METHODS)[number];

/** m1, n1, m2, n2 of B (x) C, and so on for more factors. */
export type KronShape = readonly number[];

// Larger shapes are neither planned nor read from files, so that what is made can be read.
export const LARGEST_SIDE = 2 ** 24;
export const MOST_FACTORS = 16;
/** Numbers that training may form of the factors of an M x N matrix, see formedSize(): 16 MB, and 96 bytes a row and column. */
export const mostFormed = (M: number, N: number): number => 2 ** 22 + 24 * (M + N);

/**
 * The default share of a doped matrix's initial variance that its structure has; the rest is the dopants'. Chosen by the
 * records in bench/experiments.
 */
export const STRUCTURE_SHARE = 0.01;

/**
 * How a matrix is compressed: not at all; pruned; as a structure, a Kronecker product, a product of low rank or a hybrid
 * (some rows free, the others of low rank); or as a structure and the dopants, a sparse matrix, added up.
 */
export const METHODS = ['dense', 'pruned', 'kron', 'lmf', 'hmd', 'doped-kron', 'doped-lmf', 'doped-hmd'] as const;
/** One of METHODS. */
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

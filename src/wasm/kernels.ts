// The training kernels as TypeScript sees them. Their declarations in assembly/ say what they take, return and do; asc passes
// them to declarations.mjs. Each kernel's formula, layout and edge rules head its file there; its slow twin is in reference.ts.

export type { Kernels, Pointer, Signatures } from '../../build/assembly/index.js';

// The instructions of a program, see assembly/program.ts, which imports them from here: this file is AssemblyScript too.

export enum Op {
  End,
  Gemm,
  Gemv,
  GemvT,
  Kron,
  KronT,
  Csr,
  CsrT,
  RowMask,
  Columns,
  Zero,
  Gram,
  Count,
  GemmGrad,
  GerGrad,
  KronGradB,
  KronGradC,
  CsrGrad,
  MaskGrad,
}

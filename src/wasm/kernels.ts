/** Byte offset into the runtime's memory. */
export type Pointer = number;

/**
 * What assembly/ exports; each kernel's formula, layout and edge rules are in its file there, its slow twin in
 * reference.ts. Pointers are bytes, sizes are elements.
 */
export interface Kernels {
  heapBase(): Pointer;
  F32_GEMM_SCRATCH: { value: number };

  // activation.ts
  f32_relu(x: Pointer, y: Pointer, n: number): void;
  f32_relu_grad(y: Pointer, dy: Pointer, dx: Pointer, n: number): void;
  f32_tanh_grad(y: Pointer, dy: Pointer, dx: Pointer, n: number): void;
  f32_sigmoid_grad(y: Pointer, dy: Pointer, dx: Pointer, n: number): void;

  // gemm.ts, gemv.ts
  f32_gemm_pack_n(b: Pointer, packed: Pointer, N: number, K: number): void;
  f32_gemm_pack_t(b: Pointer, packed: Pointer, N: number, K: number): void;
  f32_gemm_packed: Gemm;
  f32_gemm_nn: Gemm;
  f32_gemm_nt: Gemm;
  f32_gemm_tn(
    a: Pointer,
    lda: number,
    b: Pointer,
    c: Pointer,
    M: number,
    N: number,
    K: number,
    accumulate: boolean,
    scratch: Pointer,
  ): void;
  f32_gemv(w: Pointer, x: Pointer, y: Pointer, M: number, N: number, accumulate: boolean): void;
  f32_gemv_t(w: Pointer, dy: Pointer, dx: Pointer, M: number, N: number, accumulate: boolean): void;
  f32_ger(dy: Pointer, x: Pointer, dw: Pointer, M: number, N: number): void;

  // kron.ts
  f32_kron_mm: KroneckerProduct;
  f32_kron_tmm: KroneckerProduct;
  f32_kron_grad_b: KroneckerGradient;
  f32_kron_grad_c: KroneckerGradient;
  f32_kron(b: Pointer, c: Pointer, w: Pointer, m1: number, n1: number, m2: number, n2: number): void;
  f32_kron_grad(
    b: Pointer,
    c: Pointer,
    dw: Pointer,
    db: Pointer,
    dc: Pointer,
    m1: number,
    n1: number,
    m2: number,
    n2: number,
  ): void;

  // sparse.ts
  f32_csr_mm(
    values: Pointer,
    order: Pointer,
    columns: Pointer,
    starts: Pointer,
    x: Pointer,
    y: Pointer,
    R: number,
    M: number,
    N: number,
    accumulate: boolean,
    scratch: Pointer,
  ): void;
  f32_csr_grad(
    columns: Pointer,
    starts: Pointer,
    dy: Pointer,
    x: Pointer,
    dvalues: Pointer,
    R: number,
    M: number,
    N: number,
    first: number,
    last: number,
    scratch: Pointer,
  ): void;
  f32_bsr_mm: BlockProduct;
  f32_bsr_tmm: BlockProduct;
  f32_bsr_grad(
    columns: Pointer,
    starts: Pointer,
    dy: Pointer,
    x: Pointer,
    dvalues: Pointer,
    R: number,
    M: number,
    N: number,
    block: number,
    stride: number,
    first: number,
    last: number,
    scratch: Pointer,
  ): void;

  // lstm.ts
  f32_lstm_cell(gates: Pointer, cPrev: Pointer, c: Pointer, tanhC: Pointer, h: Pointer, R: number, H: number): void;
  f32_lstm_cell_grad(
    gates: Pointer,
    cPrev: Pointer,
    tanhC: Pointer,
    dh: Pointer,
    dc: Pointer,
    dgates: Pointer,
    R: number,
    H: number,
  ): void;

  f32_lstm_forward(
    hh: Pointer,
    gates: Pointer,
    hs: Pointer,
    cs: Pointer,
    tanhC: Pointer,
    T: number,
    B: number,
    R: number,
    H: number,
    row: number,
    scratch: Pointer,
  ): void;
  f32_lstm_backward(
    hh: Pointer,
    gates: Pointer,
    cs: Pointer,
    tanhC: Pointer,
    dy: Pointer,
    dc: Pointer,
    dh: Pointer,
    T: number,
    B: number,
    R: number,
    H: number,
    row: number,
    scratch: Pointer,
  ): void;

  // gru.ts
  f32_gru_cell(a: Pointer, u: Pointer, hPrev: Pointer, h: Pointer, R: number, H: number): void;
  f32_gru_cell_grad(a: Pointer, u: Pointer, hPrev: Pointer, dh: Pointer, dhPrev: Pointer, R: number, H: number): void;
  f32_gru_forward(
    hh: Pointer,
    a: Pointer,
    u: Pointer,
    hs: Pointer,
    T: number,
    B: number,
    R: number,
    H: number,
    row: number,
    scratch: Pointer,
  ): void;
  f32_gru_backward(
    hh: Pointer,
    a: Pointer,
    u: Pointer,
    hs: Pointer,
    dy: Pointer,
    dh: Pointer,
    T: number,
    B: number,
    R: number,
    H: number,
    row: number,
    scratch: Pointer,
  ): void;

  // program.ts
  run_program(program: Pointer, x: Pointer, y: Pointer, R: number, row: number, scratch: Pointer): void;

  // softmax.ts
  f32_log_softmax(x: Pointer, y: Pointer, R: number, V: number): void;
  f32_cross_entropy(x: Pointer, targets: Pointer, lse: Pointer, losses: Pointer, R: number, V: number): void;
  f32_cross_entropy_grad(
    x: Pointer,
    targets: Pointer,
    lse: Pointer,
    dx: Pointer,
    R: number,
    V: number,
    scale: number,
  ): void;
  f32_distill(
    x: Pointer,
    t: Pointer,
    targets: Pointer,
    losses: Pointer,
    R: number,
    V: number,
    weight: number,
    temperature: number,
    scale: number,
  ): void;

  f32_softmax_head(
    forward: Pointer,
    transpose: Pointer,
    bias: Pointer,
    x: Pointer,
    logits: Pointer,
    targets: Pointer,
    lse: Pointer,
    losses: Pointer,
    dx: Pointer,
    R: number,
    V: number,
    N: number,
    block: number,
    scale: number,
    scratch: Pointer,
    scratchBack: Pointer,
    taught: Pointer,
    weight: number,
    temperature: number,
  ): void;

  // embedding.ts
  f32_gather(table: Pointer, ids: Pointer, y: Pointer, R: number, E: number): void;
  f32_scatter_add(dy: Pointer, ids: Pointer, dtable: Pointer, R: number, E: number): void;

  // vector.ts
  f32_add(x: Pointer, y: Pointer, n: number): void;
  f32_scale(a: number, x: Pointer, y: Pointer, n: number): void;
  f32_exp(x: Pointer, y: Pointer, n: number): void;
  f32_sigmoid(x: Pointer, y: Pointer, n: number): void;
  f32_tanh(x: Pointer, y: Pointer, n: number): void;
  f32_dot(x: Pointer, y: Pointer, n: number): number;
  f32_sum(x: Pointer, n: number): number;
  f32_sum_squares(x: Pointer, n: number): number;
  f32_set_rows(x: Pointer, y: Pointer, R: number, N: number): void;
  f32_add_rows(x: Pointer, y: Pointer, R: number, N: number): void;
  f32_mask(mask: Pointer, x: Pointer, n: number): void;
  f32_copy_columns(x: Pointer, ldx: number, y: Pointer, ldy: number, R: number, N: number, accumulate: boolean): void;

  // random.ts
  u32_random(y: Pointer, n: number, seedLow: number, seedHigh: number, stream: number): void;
  f32_uniform(
    y: Pointer,
    n: number,
    low: number,
    high: number,
    seedLow: number,
    seedHigh: number,
    stream: number,
  ): void;
  f32_dropout(
    x: Pointer,
    y: Pointer,
    R: number,
    N: number,
    firstRow: number,
    period: number,
    rate: number,
    seedLow: number,
    seedHigh: number,
    step: number,
    stream: number,
    accumulate: boolean,
  ): void;

  // optim.ts
  f32_sgd(w: Pointer, g: Pointer, mask: Pointer, n: number, rate: number, clip: number): void;
  f32_adam(
    w: Pointer,
    g: Pointer,
    m: Pointer,
    v: Pointer,
    mask: Pointer,
    n: number,
    rate1: number,
    b1: number,
    b2: number,
    root2: number,
    epsilon: number,
    clip: number,
  ): void;
}

/** C[M,N] (+)= A B */
export type Gemm = (
  a: Pointer,
  b: Pointer,
  c: Pointer,
  M: number,
  N: number,
  K: number,
  accumulate: boolean,
  scratch: Pointer,
) => void;

/** out[R,.] (+)= in[R,.] times B (x) C or its transpose */
export type KroneckerProduct = (
  b: Pointer,
  c: Pointer,
  input: Pointer,
  output: Pointer,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
  accumulate: boolean,
  temp: Pointer,
  scratch: Pointer,
) => void;

/** The gradient of one factor of B (x) C, given the other. */
export type KroneckerGradient = (
  other: Pointer,
  dy: Pointer,
  x: Pointer,
  gradient: Pointer,
  R: number,
  m1: number,
  n1: number,
  m2: number,
  n2: number,
  temp: Pointer,
  scratch: Pointer,
) => void;

/** out[R,.] (+)= in[R,.] times a matrix of blocks or its transpose */
export type BlockProduct = (
  values: Pointer,
  columns: Pointer,
  starts: Pointer,
  input: Pointer,
  output: Pointer,
  R: number,
  M: number,
  N: number,
  block: number,
  stride: number,
  accumulate: boolean,
  scratch: Pointer,
) => void;

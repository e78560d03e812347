import type { Pointer } from '../wasm/kernels.js';
import type { Runtime } from '../wasm/runtime.js';
import { Compressed, CROSSOVER, indexBytes } from './compressed.js';
import { type BlockRows, firstRowOfGroup, placesOf } from './csr.js';
import { Dense } from './dense.js';
import type { Place, Program } from './program.js';
import { PRUNED, salient, sizeOf } from './pruning.js';

/** All M N weights with a mask: while few are pruned, dense products are faster. */
export class Masked extends Dense {
  nonzeros: number;
  private readonly roomSize: number;

  constructor(
    runtime: Runtime,
    M: number,
    N: number,
    private readonly rows: BlockRows,
  ) {
    super(runtime, M, N);
    this.nonzeros = M * N;
    // The indices of the compressed form will take the place of the mask.
    this.roomSize = Math.max(M * N, indexBytes(M, N, rows, Math.ceil((CROSSOVER[rows.size] * M * N) / rows.size)));
    this.weight.mask = runtime.alloc(this.roomSize);
    this.mask.fill(1);
  }

  get mask(): Uint8Array {
    return this.runtime.bytes(this.weight.mask, this.weight.size);
  }

  setMask(mask: Uint8Array): void {
    this.mask.set(mask);
    this.nonzeros = mask.reduce((sum, alive) => sum + alive, 0);
  }

  /** Clears the gradients that the dense product gave to pruned weights: clipping by the norm must not see them. */
  override gradient(program: Program, dy: Place, x: Place): void {
    super.gradient(program, dy, x);
    const { M, N, weight } = this;
    const [first, count] = program.partOf(M, 4);
    const at = first * N;
    if (count > 0) program.add('f32_mask', weight.mask + at, weight.grad + 4 * at, count * N);
  }

  /** The sizes that thresholdOf() compares; `second`: see salient(). */
  sizes(second?: Pointer): Uint32Array {
    const { M, N, rows, mask } = this;
    const { size, stride } = rows;
    const data = salient(this.weight, second);
    const sizes = new Float32Array((M / size) * N);
    const bits = new Uint32Array(sizes.buffer);
    for (let group = 0; group < M / size; group++) {
      const first = firstRowOfGroup(group, rows) * N;
      for (let row = 0; row < size; row++) {
        const at = first + row * stride * N;
        for (let j = 0; j < N; j++) sizes[group * N + j] += sizeOf(data[at + j], size);
      }
      for (let j = 0; j < N; j++) if (!mask[first + j]) bits[group * N + j] = PRUNED;
    }
    return bits;
  }

  /** Prunes what has the size PRUNED; its moments become 0 too. */
  prune(sizes: Uint32Array): void {
    const { M, N, rows, mask } = this;
    const { size, stride } = rows;
    const { value, companions } = this.weight;
    const arrays = [value, ...companions].map((at) => this.runtime.floats(at, M * N));
    let alive = 0;
    for (let group = 0; group < M / size; group++) {
      for (let row = 0; row < size; row++) {
        const at = (firstRowOfGroup(group, rows) + row * stride) * N;
        for (let j = 0; j < N; j++) {
          if (sizes[group * N + j] === PRUNED) {
            mask[at + j] = 0;
            for (const array of arrays) array[at + j] = 0;
          } else alive++;
        }
      }
    }
    this.nonzeros = alive;
  }

  /** The indices of what is left, and the place of each value, [blocks, size], in W. */
  alive(): { columns: Uint32Array; starts: Uint32Array; indices: Uint32Array } {
    const { M, N, rows, mask, nonzeros } = this;
    const { size } = rows;
    const columns = new Uint32Array(nonzeros / size);
    const starts = new Uint32Array(M / size + 1);
    let k = 0;
    for (let group = 0; group < M / size; group++) {
      const first = firstRowOfGroup(group, rows) * N;
      for (let j = 0; j < N; j++) if (mask[first + j]) columns[k++] = j;
      starts[group + 1] = k;
    }
    return { columns, starts, indices: placesOf(N, rows, columns, starts) };
  }

  /** Moves the weights at these places into the compressed form, in the same memory. This form must not be used again. */
  compress(columns: Uint32Array, starts: Uint32Array): Compressed {
    const { runtime, M, N, rows, weight, roomSize } = this;
    const wanted = indexBytes(M, N, rows, columns.length);
    const room = wanted <= roomSize ? weight.mask : runtime.alloc(wanted);
    weight.keep(placesOf(N, rows, columns, starts));
    weight.mask = 0;
    return new Compressed(runtime, M, N, rows, weight, room, columns, starts);
  }
}

/** A fixed number of slots; a free slot goes to the lowest rank, and there to who has waited longest. */
export class Pool {
  private readonly free: number[];
  private readonly waiting: { rank: number; take: (slot: number) => void }[] = [];

  constructor(size: number) {
    this.free = Array.from({ length: size }, (_, i) => i);
  }

  async use<T>(rank: number, work: (slot: number) => Promise<T>): Promise<T> {
    const slot = this.free.shift() ?? (await new Promise<number>((take) => this.waiting.push({ rank, take })));
    try {
      return await work(slot);
    } finally {
      this.waiting.sort((a, b) => a.rank - b.rank);
      const next = this.waiting.shift();
      if (next) next.take(slot);
      else this.free.push(slot);
    }
  }
}

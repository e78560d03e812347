/** A number with its noun: '1 layer', '2 layers'. */
export const counted = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

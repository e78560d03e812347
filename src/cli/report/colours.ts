/** Colours that most eyes can tell apart, on both backgrounds. */
const PALETTE = [
  '#0f7fc4',
  '#d55e00',
  '#009e73',
  '#c0569b',
  '#9a7500',
  '#7a6fd0',
  '#c8383c',
  '#5a8a9a',
  '#7da33a',
  '#808080',
  '#b98a6a',
  '#19b5c8',
];

const DASHES = [[], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [16, 4]];

/** The colour of this index. Past the palette, hues are a golden angle apart: none comes twice. */
export const colourOf = (index: number) => PALETTE[index] ?? `hsl(${Math.round(index * 137.5) % 360}, 55%, 50%)`;

/** Lengths of the dashes and gaps of a line; empty for an unbroken one. */
export const dashOf = (index: number) => DASHES[index % DASHES.length];

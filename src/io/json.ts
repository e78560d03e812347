/** What a file of dopant nests is far less deep. */
const DEEPEST = 64;

/** In less text, nothing that is nested takes much memory. */
const SHORT = 2 ** 17;

/**
 * JSON.parse, for text from files: a parser takes some 60 bytes for each bracket that is open, so that text of nothing else
 * would take 60 times its size.
 *
 * @throws SyntaxError for text that is not JSON, or is long and nested more than 64 deep
 */
export function parseJson(text: string): unknown {
  if (text.length > SHORT) checkDepth(text);
  return JSON.parse(text);
}

function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === BACKSLASH) i++;
      else if (char === QUOTE) inString = false;
    } else if (char === QUOTE) {
      inString = true;
    } else if (char === BRACKET || char === BRACE) {
      depth++;
      if (depth > DEEPEST) throw new SyntaxError(`nested more than ${DEEPEST} deep at position ${i}`);
    } else if (char === BRACKET + 2 || char === BRACE + 2) {
      depth--;
    }
  }
}

const [QUOTE, BRACKET, BACKSLASH, BRACE] = [0x22, 0x5b, 0x5c, 0x7b];

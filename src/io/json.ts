/** No file that dopant writes is nested so deeply. */
const DEEPEST = 64;

/** Nesting in shorter text cannot take much memory. */
const SHORT = 2 ** 17;

/**
 * Parses JSON from a file. JSON.parse alone takes some 60 bytes for each open bracket, 60 times the size of a text that is
 * nothing but brackets.
 *
 * @throws SyntaxError for text that is not JSON, and for long text with more than 64 levels of nesting
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
      if (depth > DEEPEST) throw new SyntaxError(`nesting of more than ${DEEPEST} levels at position ${i}`);
    } else if (char === BRACKET + 2 || char === BRACE + 2) {
      depth--;
    }
  }
}

const [QUOTE, BRACKET, BACKSLASH, BRACE] = [0x22, 0x5b, 0x5c, 0x7b];

// Writes what an AssemblyScript entry exports as TypeScript: a transform of asc, which passes it the program it compiles.
// Each kernel keeps its name, its parameters and its docstring; build/assembly/index.ts and infer.ts are the result.

import { Transform } from 'assemblyscript/transform';

const NUMBERS = ['i32', 'u32', 'f32', 'f64'];

function parameterType(type) {
  if (type === 'usize') return 'Pointer';
  if (type === 'bool') return 'boolean';
  if (NUMBERS.includes(type)) return 'number';
  throw new Error(`a kernel takes a ${type}; expected usize, bool or one of ${NUMBERS}`);
}

/** A parameter's type as AssemblyScript calls it: Pointer and number do not tell a length from an f32. */
function kinds(name, { declaration: { signature } }) {
  return `  ${name}: [${signature.parameters.map((each) => `${each.name.text}: '${nameOf(each.type)}'`).join(', ')}];`;
}

/** WebAssembly returns a bool as a number. */
function returnType(type) {
  return type === 'bool' ? '0 | 1' : type === 'void' ? type : parameterType(type);
}

const nameOf = (type) => type.name.identifier.text;

/** The docstring right before a declaration, or nothing. */
function docOf({ range }) {
  const doc = /\/\*\*(?:(?!\*\/).)*\*\/\s*$/s.exec(range.source.text.slice(0, range.start));
  return doc ? `  ${doc[0].trim().replaceAll(/^ +\*/gm, '   *')}\n` : '';
}

function declare(name, { declaration }) {
  const { signature, type } = declaration;
  const doc = docOf(declaration);
  if (!signature) return `${doc}  readonly ${name}: { readonly value: ${parameterType(nameOf(type))} };`;
  const parameters = signature.parameters.map((each) => `${each.name.text}: ${parameterType(nameOf(each.type))}`);
  return `${doc}  ${name}(${parameters.join(', ')}): ${returnType(nameOf(signature.returnType))};`;
}

/** All exports of a file: its own, and those of the files that it exports as a whole. */
function exportsOf({ exports, exportsStar }) {
  return [...(exports ?? []), ...(exportsStar ?? []).flatMap(exportsOf)];
}

export default class Declarations extends Transform {
  async afterInitialize(program) {
    for (const file of program.filesByName.values()) {
      const { internalPath } = file.source;
      if (!internalPath.startsWith('assembly/') || file.source.sourceKind !== USER_ENTRY) continue;
      const members = exportsOf(file);
      const functions = members.filter(([, element]) => element.declaration.signature);
      const text = [
        `// Generated from ${internalPath}.ts by src/wasm/declarations.mjs.`,
        '',
        '/** A byte offset into memory. */',
        'export type Pointer = number;',
        '',
        `/** What ${internalPath}.ts exports. Pointers are bytes, sizes are elements. */`,
        'export interface Kernels {',
        ...members.map((member) => declare(...member)),
        '}',
        '',
        '/** The types of their parameters in AssemblyScript. */',
        'export interface Signatures {',
        ...functions.map((member) => kinds(...member)),
        '}',
        '',
      ];
      await this.writeFile(`build/${internalPath}.ts`, text.join('\n'), this.baseDir);
    }
  }
}

const USER_ENTRY = 1; // SourceKind.UserEntry of the compiler

import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { readFileBytes, writeFileAtomically } from '../../src/io/files.js';

let folder = '';
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dopant-files-'));
});
test.after.each(() => rm(folder, { recursive: true }));

const refused = async (attempt: Promise<unknown>, ...parts: string[]) => {
  const error = await attempt.then(
    () => assert.unreachable('should have been refused'),
    (reason: unknown) => reason,
  );
  assert.instance(error, InputError);
  const { message, cause } = error as Error;
  for (const part of parts) assert.ok(message.includes(part), `"${message}" should say "${part}"`);
  return cause;
};

test('bytes and text are written and read back, with nothing beside them', async () => {
  const path = join(folder, 'a.bin');
  await writeFileAtomically(path, Uint8Array.of(1, 2, 255));
  assert.equal(await readFileBytes(path), Uint8Array.of(1, 2, 255));
  await writeFileAtomically(path, 'größer');
  assert.is(await readFile(path, 'utf8'), 'größer');
  await writeFileAtomically(path, new Uint8Array(0));
  assert.is((await readFileBytes(path)).length, 0);
  assert.equal(await readdir(folder), ['a.bin']);
});

test('a part of an array is written, not the buffer behind it', async () => {
  const path = join(folder, 'a.bin');
  await writeFileAtomically(path, Uint8Array.of(1, 2, 3, 4).subarray(1, 3));
  assert.equal(await readFileBytes(path), Uint8Array.of(2, 3));
});

test('writers at the same time leave one whole file', async () => {
  const path = join(folder, 'a.bin');
  const contents = Array.from({ length: 8 }, (_, i) => new Uint8Array(100_000).fill(i));
  await Promise.all(contents.map((bytes) => writeFileAtomically(path, bytes)));
  const written = await readFileBytes(path);
  assert.is(written.length, 100_000);
  assert.ok(written.every((byte) => byte === written[0]));
  assert.equal(await readdir(folder), ['a.bin']);
});

test('a missing folder is named and not made', async () => {
  const path = join(folder, 'missing', 'a.bin');
  const cause = await refused(
    writeFileAtomically(path, 'x'),
    path,
    `the folder ${join(folder, 'missing')} does not exist`,
  );
  assert.is((cause as NodeJS.ErrnoException).code, 'ENOENT');
  assert.equal(await readdir(folder), []);
});

test('a folder is not overwritten', async () => {
  const path = join(folder, 'sub');
  await mkdir(path);
  await refused(writeFileAtomically(path, 'x'), path, 'it is a folder');
  assert.equal(await readdir(folder), ['sub']);
  assert.equal(await readdir(path), []);
});

test('a file taken for a folder is named', async () => {
  const file = join(folder, 'file');
  await writeFile(file, 'old');
  await refused(writeFileAtomically(join(file, 'a.bin'), 'x'), `${file} is not a folder`);
  await refused(readFileBytes(join(file, 'a.bin')), `${file} is not a folder`);
  assert.is(await readFile(file, 'utf8'), 'old');
});

test('what is neither file nor folder is left alone', async () => {
  const path = join(folder, 'socket');
  const server = createServer().listen(path);
  await once(server, 'listening');
  try {
    await refused(writeFileAtomically(path, 'x'), path, 'it is not a regular file');
    assert.ok((await stat(path)).isSocket());
  } finally {
    server.close();
  }
});

test('a failure half-way leaves the old file and no temporary one', async () => {
  const path = join(folder, 'a.bin');
  await writeFile(path, 'old');
  const broken = { not: 'bytes' } as unknown as Uint8Array;
  await writeFileAtomically(path, broken).then(
    () => assert.unreachable('should have failed'),
    (error: Error) => {
      assert.ok(error.message.startsWith(`cannot write ${path}: `));
      assert.instance(error.cause, TypeError);
    },
  );
  assert.is(await readFile(path, 'utf8'), 'old');
  assert.equal(await readdir(folder), ['a.bin']);
});

test('a rename that fails leaves no temporary file', async () => {
  // Longer than any file system allows, so that only the last step fails.
  const path = join(folder, 'n'.repeat(300));
  await refused(writeFileAtomically(path, 'x'), 'the name is too long');
  assert.equal(await readdir(folder), []);
});

test('a link is written through, and permissions stay', async () => {
  const path = join(folder, 'a.bin');
  const link = join(folder, 'link');
  await writeFile(path, 'old');
  await chmod(path, 0o600);
  await symlink(path, link);
  await writeFileAtomically(link, 'new');
  assert.is(await readFile(path, 'utf8'), 'new');
  assert.is((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await readdir(folder)).sort(), ['a.bin', 'link']);
});

test('reading says what is wrong with the path', async () => {
  const missing = join(folder, 'missing');
  const cause = await refused(readFileBytes(missing), missing, 'there is no such file');
  assert.is((cause as NodeJS.ErrnoException).code, 'ENOENT');
  await refused(readFileBytes(folder), folder, 'it is a folder');
});

test.run();

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../src/errors.js';
import { checkWritable, readFileBytes, writeFileAtomically } from '../../src/io/files.js';
import { thisProcess } from '../../src/io/process.js';

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
  const path = join(folder, 'a.bin');
  const { rename } = fs;
  fs.rename = () => Promise.reject(Object.assign(new Error('busy'), { code: 'EBUSY' }));
  syncBuiltinESMExports();
  try {
    await writeFileAtomically(path, 'x').then(
      () => assert.unreachable('should have failed'),
      (error: Error) => assert.is(error.message, `cannot write ${path}: busy`),
    );
  } finally {
    fs.rename = rename;
    syncBuiltinESMExports();
  }
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

/** The name of the temporary file of a write, seen at its rename, which is the last step but for the folder's sync. */
async function temporaryOf(path: string): Promise<string> {
  const { rename } = fs;
  let seen = '';
  fs.rename = (from, to) => {
    seen = basename(String(from));
    return rename(from, to);
  };
  syncBuiltinESMExports();
  try {
    await writeFileAtomically(path, 'x');
  } finally {
    fs.rename = rename;
    syncBuiltinESMExports();
  }
  return seen;
}

test('what a killed process left is removed at the next write of that file, and nothing else', async () => {
  const child = spawn(process.execPath, ['--version']);
  await once(child, 'close');
  const path = join(folder, 'a.bin');
  const temporary = await temporaryOf(path);
  assert.ok(temporary.startsWith('.a.bin.') && temporary.endsWith('.tmp'), temporary);
  assert.ok(temporary.includes(`${process.pid}`));
  const of = (pid: number, target = 'a.bin') =>
    temporary.replace('a.bin', target).replace(`.${process.pid}-`, `.${pid}-`);
  const dead = of(child.pid!);
  const elsewhere = dead.replace(/-[0-9a-f]{8}(-[0-9a-f]{8}\.tmp)$/, '-00000000$1');
  assert.is.not(elsewhere, dead);
  const kept = [temporary, of(child.pid!, 'b.bin'), of(child.pid!, 'a.bin.b'), of(child.pid!, 'a'), elsewhere];
  kept.push(`${dead}.txt`, '.a.bin.tmp', '.a.bin.1.tmp');
  const gone = [dead];
  // Only Linux tells that this number was another process's.
  if (thisProcess.start) gone.push(temporary.replace(`-${thisProcess.start}-`, '-1-'));
  for (const name of [...kept, ...gone]) await writeFile(join(folder, name), 'half');
  await writeFileAtomically(path, 'new');
  assert.equal((await readdir(folder)).sort(), ['a.bin', ...kept].sort());
  // What another machine left, long ago.
  const old = new Date(Date.now() - 86_400_000);
  await utimes(join(folder, elsewhere), old, old);
  await checkWritable(path);
  assert.equal((await readdir(folder)).sort(), ['a.bin', ...kept.filter((name) => name !== elsewhere)].sort());
  assert.is(await readFile(path, 'utf8'), 'new');
});

test('a name as long as there can be is written, with a temporary one that is no longer', async () => {
  const path = join(folder, 'ü'.repeat(127));
  assert.ok(Buffer.byteLength(await temporaryOf(path)) <= 143, 'the least that a file system allows');
  assert.is(await readFile(path, 'utf8'), 'x');
});

test('the folder is synchronised after the rename, the file before', async () => {
  const { open, rename } = fs;
  const done: string[] = [];
  fs.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    const sync = handle.sync.bind(handle);
    handle.sync = () => {
      done.push(String(path) === folder ? 'folder' : 'file');
      return sync();
    };
    return handle;
  };
  fs.rename = (from, to) => {
    done.push('rename');
    return rename(from, to);
  };
  syncBuiltinESMExports();
  try {
    await writeFileAtomically(join(folder, 'a.bin'), 'x');
  } finally {
    Object.assign(fs, { open, rename });
    syncBuiltinESMExports();
  }
  assert.equal(done, ['file', 'rename', 'folder']);
});

test('a trial finds what a write would, and changes nothing', async () => {
  const path = join(folder, 'a.bin');
  await checkWritable(path);
  assert.equal(await readdir(folder), []);
  await writeFile(path, 'old');
  await utimes(path, 1, 1);
  await checkWritable(path);
  assert.is(await readFile(path, 'utf8'), 'old');
  assert.is((await stat(path)).mtimeMs, 1000);
  await symlink('nowhere', join(folder, 'link'));
  await chmod(path, 0o400);
  for (const [name, reason] of [
    ['', 'the name is empty'],
    ['missing/a.bin', 'does not exist'],
    ['a.bin/a.bin', 'is not a folder'],
    ['new/', 'it names a folder'],
    ['n'.repeat(300), 'the name is too long'],
    ['link', 'it is a link to nowhere'],
    ['a.bin', 'it is read-only'],
    ['.', 'it is a folder'],
  ]) {
    const bad = name && `${folder}/${name}`;
    await refused(checkWritable(bad), `cannot write ${bad}: `, reason);
    await refused(writeFileAtomically(bad, 'new'), `cannot write ${bad}: `, reason);
  }
  assert.equal((await readdir(folder)).sort(), ['a.bin', 'link']);
});

test('what is no regular file is not opened to be read', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/null', '/dev/zero', '/dev/tty']) {
    await refused(readFileBytes(path), `cannot read ${path}: it is not a regular file`);
  }
});

test('reading says what is wrong with the path', async () => {
  const missing = join(folder, 'missing');
  const cause = await refused(readFileBytes(missing), missing, 'there is no such file');
  assert.is((cause as NodeJS.ErrnoException).code, 'ENOENT');
  await refused(readFileBytes(folder), folder, 'it is a folder');
});

test.run();

/**
 * Keeps a process alive whatever becomes of its stdout and stderr. Progress and messages on a stderr that fails are
 * dropped. A stdout that fails ends the process: with success where its reader has left, as `head` does, otherwise with
 * one line on stderr and exit code 1. Commands write to stdout last, so nothing is lost.
 */
export function guardStreams(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    process.stderr.write(`dopant: cannot write to stdout: ${error.message}\n`);
    process.exit(1);
  });
}

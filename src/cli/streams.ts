/**
 * Handles errors of stdout and stderr, which would end the process with a stack trace. If stderr fails, progress and messages
 * are dropped. If stdout fails, the process ends: with success if its reader has closed it, as `head` does, otherwise with
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

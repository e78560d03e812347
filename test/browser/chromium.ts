// Debian's Chromium, pages for it from this machine, and an end to every wait.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Milliseconds after which nothing is waited for any more. */
export const WAIT = 60_000;
const PATH = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why there is no browser, if there is none. */
export const missing = existsSync(PATH) ? undefined : `no Chromium at ${PATH} (CHROMIUM in the environment says where)`;

let browser: Promise<Browser> | undefined;

function launch(): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'];
  return chromium.launch({ executablePath: PATH, args, timeout: WAIT });
}

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
}

function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no end within ${WAIT / 1000} s`)), WAIT);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Opens a page in a profile of its own for as long as `use` takes; what the page throws is thrown here. */
export async function inPage<T>(url: string, use: (page: Page) => Promise<T>): Promise<T> {
  browser ??= launch();
  const page = await (await browser).newPage();
  try {
    const thrown = new Promise<never>((_, reject) => {
      page.on('pageerror', (error) => reject(new Error(`${url} threw: ${error.stack ?? error}`)));
      page.on('crash', () => reject(new Error(`${url} crashed`)));
    });
    const used = page.goto(url, { timeout: WAIT }).then(() => use(page));
    return await within(url, Promise.race([used, thrown]));
  } finally {
    await page.close();
  }
}

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** What a page needs to be given shared memory. */
const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/** Serves a folder while `use` runs. */
export async function serving<T>(
  folder: string,
  use: (url: string) => Promise<T>,
  { isolated = false, headers = {} }: { isolated?: boolean; headers?: Record<string, string> } = {},
): Promise<T> {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url!, 'http://localhost');
    const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
    try {
      const body = await readFile(join(folder, name));
      const type = { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' };
      response.writeHead(200, { ...type, ...(isolated && ISOLATED), ...headers }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

#!/usr/bin/env node
import { runCommand } from './program.js';
import { guardStreams } from './streams.js';

guardStreams();
process.exitCode = await runCommand(process.argv.slice(2));

// The tasks of the command line, in the order of --help.

import { FileFormatError, invalid } from '../errors.js';
import type { ByteSource } from '../io/bytes.js';
import { readHeader } from '../io/model-header.js';
import type { Model } from '../nn/model.js';
import { show } from '../values.js';
import type { Runtime } from '../wasm/runtime.js';
import { intentTask } from './intent/task.js';
import { languageModelTask } from './lm/task.js';
import { seriesTask } from './series/task.js';
import { tagTask } from './tag/task.js';
import type { AnyTask } from './task.js';
import { translationTask } from './translate/task.js';

export const TASKS: readonly AnyTask[] = [languageModelTask, intentTask, tagTask, seriesTask, translationTask];

const nameOf = ({ training }: AnyTask): string => training.task;

const names = (tasks = TASKS) => tasks.map((task) => `'${nameOf(task)}'`).join(', ');

/** The task of a name. Throws InputError for one that does not exist. */
export function taskNamed(name: string): AnyTask {
  const found = TASKS.find((task) => nameOf(task) === name);
  if (!found) throw invalid('task', name, `one of ${names()}`);
  return found;
}

/** The task that a file's model is for. Throws FileFormatError where none of `tasks` is. */
export function taskOfFile(name: string, tasks = TASKS): AnyTask {
  const found = tasks.find((task) => nameOf(task) === name);
  if (!found) throw new FileFormatError(`got a model for the task ${show(name)}; expected one for ${names(tasks)}`);
  return found;
}

/** The model of a file, for any of the tasks. Throws FileFormatError saying what is wrong. */
export const decodeModel = (runtime: Runtime, bytes: ByteSource): Model =>
  taskOfFile(readHeader(bytes).task.name).decode(runtime, bytes);

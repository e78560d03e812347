/** The task of a grid that names none. */
export { TASK as DEFAULT_TASK } from '../tasks/lm/schema.js';

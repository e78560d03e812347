// Comes before everything else in a bundle, so that what the scope lacks it lacks from the start.

export {};

if (import.meta.url.includes('?no-fetch')) {
  for (const name of ['fetch', 'XMLHttpRequest']) {
    for (let at: object | null = globalThis; at; at = Object.getPrototypeOf(at)) Reflect.deleteProperty(at, name);
    if (name in globalThis) throw new Error(`${name} cannot be taken out of this scope`);
  }
}

// uvu then leaves it to outcome.ts to run what test.run() puts here.
Object.assign(globalThis, { UVU_DEFER: true, UVU_QUEUE: [[]] });

// Loaded into the conformance suite before its own code. Its probes of streams give up after half a second to ten
// seconds and take what has not come by then for a failure: on a busy machine that is chance. They get four times as
// long. The suite's other timers stay as they are.
import { promisify } from "node:util";

const FACTOR = 4;
const GIVES_UP = /\.(abort|cancel)\(\)/;
const original = globalThis.setTimeout;

globalThis.setTimeout = (callback, delay, ...more) =>
  original(callback, GIVES_UP.test(String(callback)) ? FACTOR * delay : delay, ...more);
globalThis.setTimeout[promisify.custom] = original[promisify.custom];

/** A worker that restores tiles: it is told the core and the plan once, then one tile after the other. */
import { Core } from "./core.js";

/** @type {Core | undefined} */
let core;

self.onmessage = ({ data }) => {
  try {
    if (data.plan) {
      core = new Core(data.module, data.plan);
      self.postMessage({ facts: core.facts() });
    } else {
      const restored = /** @type {Core} */ (core).restore(data.pixels, data.tile);
      self.postMessage({ restored }, { transfer: [restored.buffer] });
    }
  } catch (error) {
    self.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};

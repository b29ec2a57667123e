/** A worker that restores tiles: it is told the core and the plan once, then one tile after the other. */
import { Core } from "./core.js";

/** @type {Core | undefined} */
let core;

/** @param {Core} core @param {any} job */
function work(core, { pixels, tile, plane, from, to }) {
  if (plane) return core.resize(plane, from, to);
  return "factor" in tile ? core.restoreTo(pixels, tile) : core.restore(pixels, tile);
}

self.onmessage = ({ data }) => {
  try {
    if (data.plan) {
      core = new Core(data.module, data.plan);
      self.postMessage({ facts: core.facts() });
    } else {
      const restored = work(/** @type {Core} */ (core), data);
      self.postMessage({ restored }, { transfer: [restored.buffer] });
    }
  } catch (error) {
    self.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};

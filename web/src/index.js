/** @lutra/web: restore images by lookup tables in a browser. */
import { Model } from "./model.js";

export { Model };

/** @type {Promise<WebAssembly.Module> | undefined} */
let core;

/**
 * Load a model from a plan file, which `lutra export --format plan` writes.
 *
 * @param {string | URL | ArrayBuffer | Uint8Array} source its address, or its bytes
 * @param {{ workers?: number }} [options] workers: how many restore at once [one a processor, at most 8]
 * @returns {Promise<Model>}
 */
export async function load(source, { workers = Math.min(8, navigator.hardwareConcurrency || 1) } = {}) {
  const bytes = source instanceof ArrayBuffer || source instanceof Uint8Array ? source : await fetched(source);
  core ??= fetched(new URL("./lutra.wasm", import.meta.url)).then((code) => WebAssembly.compile(code));
  const make = () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return Model.start(await core, new Uint8Array(bytes), make, workers);
}

/** @param {string | URL} address */
async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

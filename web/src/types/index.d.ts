/**
 * Load a model from a plan file, which `lutra export --format plan` writes.
 *
 * @param {string | URL | ArrayBuffer | Uint8Array} source its address, or its bytes
 * @param {{ workers?: number }} [options] workers: how many restore at once [one a processor, at most 8]
 * @returns {Promise<Model>}
 */
export function load(source: string | URL | ArrayBuffer | Uint8Array, { workers }?: {
    workers?: number;
}): Promise<Model>;
export { Model };
import { Model } from "./model.js";

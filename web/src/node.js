/** @lutra/web in Node: workers are threads, and addresses may be those of files. */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker as Thread } from "node:worker_threads";

import { Model } from "./model.js";

export { Model };

let core;

/** As in a browser; a source that is no URL is the path of a file. */
export async function load(source, { workers = Math.min(8, availableParallelism()) } = {}) {
  const bytes = source instanceof ArrayBuffer || source instanceof Uint8Array ? source : await read(source);
  core ??= readFile(new URL("./lutra.wasm", import.meta.url)).then((code) => WebAssembly.compile(code));
  return Model.start(await core, new Uint8Array(bytes), start, workers);
}

async function read(source) {
  const address = source instanceof URL ? source : URL.canParse(source) ? new URL(source) : source;
  if (!/^https?:$/.test(address.protocol)) return readFile(address);
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

// A thread that is spoken to as a browser's worker is.
function start() {
  const thread = new Thread(new URL("./node-worker.js", import.meta.url));
  thread.on("message", (data) => thread.onmessage({ data }));
  thread.on("error", (error) => thread.onerror(error));
  return thread;
}

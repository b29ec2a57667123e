// Restore jobs by the core: node restore.mjs CORE.js CORE.wasm JOBS.json. A job is a plan, pixels of RGBA, a tile (of any
// size, if it has a factor) and an output; what the core refuses is written as text.
import { readFileSync, writeFileSync } from "node:fs";

const [path, wasm, jobs] = process.argv.slice(2);
const { Core } = await import(path);
const module = new WebAssembly.Module(readFileSync(wasm));
for (const { plan, pixels, tile, out } of JSON.parse(readFileSync(jobs, "utf8"))) {
  try {
    const core = new Core(module, readFileSync(plan));
    writeFileSync(out, core["factor" in tile ? "restoreTo" : "restore"](readFileSync(pixels), tile));
    writeFileSync(`${out}.facts`, JSON.stringify(core.facts()));
  } catch (error) {
    writeFileSync(`${out}.error`, error.message);
  }
}

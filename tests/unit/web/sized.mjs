// Restore jobs by the package in Node: node sized.mjs NODE.js JOBS.json. A job is a plan, pixels of RGBA with their size, the
// size that is asked for, and an output; what is refused is written as text.
import { readFileSync, writeFileSync } from "node:fs";

const [path, jobs] = process.argv.slice(2);
const { load } = await import(path);
const models = new Map();
for (const { plan, pixels, width, height, size, out } of JSON.parse(readFileSync(jobs, "utf8"))) {
  if (!models.has(plan)) models.set(plan, await load(plan, { workers: 1 }));
  const steps = [];
  try {
    const image = { data: new Uint8Array(readFileSync(pixels)), width, height };
    const progress = (done, total) => steps.push([done, total]);
    const restored = await models.get(plan).restore(image, { ...size, progress });
    writeFileSync(out, restored.data);
    writeFileSync(`${out}.json`, JSON.stringify({ width: restored.width, height: restored.height, steps }));
  } catch (error) {
    writeFileSync(`${out}.error`, `${error.name}: ${error.message}`);
  }
}
for (const model of models.values()) model.close();

// Fill hidden colours and enlarge alpha: node alpha.mjs ALPHA.js JOBS.json. A job is pixels of RGBA with their size, rings
// and a scale; the output has the filled pixels, then the alpha.
import { readFileSync, writeFileSync } from "node:fs";

const [path, jobs] = process.argv.slice(2);
const { enlargeAlpha, fillHidden, isOpaque } = await import(path);
for (const { pixels, width, height, rings, scale, out } of JSON.parse(readFileSync(jobs, "utf8"))) {
  const image = { data: new Uint8Array(readFileSync(pixels)), width, height };
  const made = { data: new Uint8Array(image.data.length * scale ** 2), width: width * scale, height: height * scale };
  enlargeAlpha(made, image, scale);
  const alpha = made.data.filter((_, i) => i % 4 === 3);
  writeFileSync(out, Buffer.concat([fillHidden(image, rings).data, alpha, Uint8Array.of(isOpaque(image))]));
}

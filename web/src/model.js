/** Models that restore images in workers, tile by tile. */
import { enlargeAlpha, fillHidden, isOpaque } from "./alpha.js";

const TILE = 192;
const MOST_PIXELS = 2 ** 28;

/** @typedef {import("./core.js").Facts} Facts */
/** @typedef {import("./alpha.js").Picture} Picture */
/** @typedef {{ signal?: AbortSignal, progress?: (done: number, total: number) => void }} RestoreOptions */

/** A model in its workers. */
export class Model {
  #workers;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @private
   * @param {Worker[]} workers
   * @param {Facts} facts
   * @param {number} bytes of its plan file
   */
  constructor(workers, facts, bytes) {
    this.#workers = workers;
    /** Such as "mulut x4, sr". @readonly */
    this.title = facts.title;
    /** @readonly */
    this.scale = facts.scale;
    /** 3: the model restores red, green and blue together; else 1. @readonly */
    this.colours = facts.colours;
    /** How many pixels around a pixel its result depends on. @readonly */
    this.margin = facts.margin;
    /** Whether the model restores the luma alone. @readonly */
    this.luma = facts.luma;
    /** The size of the plan file. @readonly */
    this.bytes = bytes;
  }

  /**
   * Start workers with a model; `load` calls it.
   *
   * @param {WebAssembly.Module} module
   * @param {Uint8Array} plan
   * @param {() => Worker} makeWorker
   * @param {number} count
   * @returns {Promise<Model>}
   */
  static async start(module, plan, makeWorker, count) {
    if (!Number.isInteger(count) || count < 1) throw new RangeError(`workers is ${count}, expected at least 1`);
    const workers = Array.from({ length: count }, makeWorker);
    try {
      const told = await Promise.all(workers.map((worker) => ask(worker, { module, plan })));
      return new Model(workers, told[0].facts, plan.length);
    } catch (error) {
      workers.forEach((worker) => worker.terminate());
      throw error;
    }
  }

  /**
   * Restore an image. Alpha is enlarged by bicubic interpolation, and hidden colours are filled from the visible ones
   * near them. An image of equal colours in every pixel counts as gray. Calls run one after the other.
   *
   * @param {Picture} image red, green, blue and alpha, as in ImageData
   * @param {RestoreOptions} [options]
   * @returns {Promise<ImageData>}
   */
  restore(image, options = {}) {
    const next = this.#last.then(() => this.#restore(image, options));
    this.#last = next.catch(() => {});
    return next;
  }

  /** @param {Picture} image @param {RestoreOptions} options */
  async #restore(image, { signal, progress }) {
    const { width, height, data } = image, scale = this.scale;
    if (!(width > 0 && height > 0) || data?.length !== 4 * width * height)
      throw new TypeError(`image: found ${data?.length} bytes for ${width}x${height}, expected 4 a pixel, as in ImageData`);
    if (width * height * scale ** 2 > MOST_PIXELS)
      throw new RangeError(`the result would have ${width * scale}x${height * scale} pixels, at most 2^28 are possible`);
    signal?.throwIfAborted();
    const result = blank(width * scale, height * scale);
    const opaque = isOpaque(image), seen = opaque ? image : fillHidden(image, this.margin + 2), gray = isGray(seen.data);
    const tiles = tilesOf(width, height, this.margin).map((tile) => ({ ...tile, gray })), total = tiles.length;
    let done = 0;
    await Promise.all(this.#workers.map(async (worker) => {
      for (let tile = tiles.shift(); tile && !signal?.aborted; tile = tiles.shift()) {
        const pixels = cut(seen, tile);
        const { restored } = await ask(worker, { pixels, tile }, [pixels.buffer]);
        paste(result, restored, (tile.x + tile.left) * scale, (tile.y + tile.top) * scale, tile.columns * scale);
        progress?.(++done, total);
      }
    })).catch((error) => {
      tiles.length = 0;
      throw error;
    });
    signal?.throwIfAborted();
    if (!opaque) enlargeAlpha(result, image, scale);
    return result;
  }

  /** End the workers. */
  close() {
    this.#workers.forEach((worker) => worker.terminate());
  }
}

/**
 * Send a worker something and return its answer.
 *
 * @param {Worker} worker @param {object} message @param {Transferable[]} [transfer]
 * @returns {Promise<any>}
 */
function ask(worker, message, transfer = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message || "the worker cannot start"));
    worker.postMessage(message, transfer);
  });
}

/**
 * @param {number} width @param {number} height
 * @returns {ImageData} in Node, which has none, an object with the same fields
 */
function blank(width, height) {
  if (globalThis.ImageData) return new ImageData(width, height);
  return /** @type {ImageData} */ ({ data: new Uint8ClampedArray(4 * width * height), width, height });
}

/** @param {Uint8Array | Uint8ClampedArray} data */
function isGray(data) {
  for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

/** @param {number} width @param {number} height @param {number} margin */
function tilesOf(width, height, margin) {
  const tiles = [];
  for (let top = 0; top < height; top += TILE)
    for (let left = 0; left < width; left += TILE) {
      const x = Math.max(0, left - margin), y = Math.max(0, top - margin);
      const columns = Math.min(TILE, width - left), rows = Math.min(TILE, height - top);
      tiles.push({
        x, y, columns, rows, left: left - x, top: top - y,
        width: Math.min(width, left + columns + margin) - x,
        height: Math.min(height, top + rows + margin) - y,
      });
    }
  return tiles;
}

/** @param {Picture} image @param {{x: number, y: number, width: number, height: number}} tile */
function cut(image, { x, y, width, height }) {
  const pixels = new Uint8Array(4 * width * height);
  for (let row = 0; row < height; ++row) {
    const from = 4 * ((y + row) * image.width + x);
    pixels.set(image.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return pixels;
}

/** @param {ImageData} to @param {Uint8Array} pixels @param {number} x @param {number} y @param {number} width */
function paste(to, pixels, x, y, width) {
  for (let row = 0; row * 4 * width < pixels.length; ++row)
    to.data.set(pixels.subarray(4 * row * width, 4 * (row + 1) * width), 4 * ((y + row) * to.width + x));
}

/** Models that restore images in workers, tile by tile. */
import { alphaOf, enlargeAlpha, fillHidden, isOpaque, setAlpha } from "./alpha.js";
import { madeOf, sizedTilesOf, targetOf, tilesOf } from "./sizes.js";

const MOST_PIXELS = 2 ** 28;

/** @typedef {import("./core.js").Facts} Facts */
/** @typedef {import("./alpha.js").Picture} Picture */
/** @typedef {import("./sizes.js").Size} Size */
/** @typedef {import("./sizes.js").Target} Target */
/** @typedef {Size & { signal?: AbortSignal, progress?: (done: number, total: number) => void }} RestoreOptions */

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
    /** Whether the model makes results of any size; `scale` is then the factor where none is asked for. @readonly */
    this.anySize = facts.anySize;
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
   * A model of any size makes the size that `options` ask for: `{ scale }`, `{ width, height }`, or one side. Alpha is then
   * resampled to it.
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
  async #restore(image, { signal, progress, ...size }) {
    const { width, height, data } = image, asked = Object.values(size).some((one) => one !== undefined);
    if (!(width > 0 && height > 0) || data?.length !== 4 * width * height)
      throw new TypeError(`image: found ${data?.length} bytes for ${width}x${height}, expected 4 a pixel, as in ImageData`);
    if (asked && !this.#sized) throw new RangeError(`the model restores at x${this.scale} alone, expected one of any size`);
    const target = targetOf(width, height, size, this.scale);
    if (target.width * target.height > MOST_PIXELS)
      throw new RangeError(`the result would have ${target.width}x${target.height} pixels, at most 2^28 are possible`);
    signal?.throwIfAborted();
    const result = blank(target.width, target.height);
    const opaque = isOpaque(image), seen = opaque ? image : fillHidden(image, this.margin + 2), gray = isGray(seen.data);
    const tiles = this.#sized ? sizedTilesOf(image, target, this.margin) : tilesOf(image, this.margin, this.scale);
    const total = tiles.length;
    let done = 0;
    await Promise.all(this.#workers.map(async (worker) => {
      for (let tile = tiles.shift(); tile && !signal?.aborted; tile = tiles.shift()) {
        const pixels = cut(seen, tile.pixels);
        const { restored } = await ask(worker, { pixels, tile: { ...tile.part, gray } }, [pixels.buffer]);
        paste(result, restored, tile.place);
        progress?.(++done, total);
      }
    })).catch((error) => {
      tiles.length = 0;
      throw error;
    });
    signal?.throwIfAborted();
    if (!opaque && asked) setAlpha(result, await this.#resizedAlpha(image, target));
    else if (!opaque) enlargeAlpha(result, image, this.scale);
    return result;
  }

  /** Whether tiles are those of a result of any size. A model of luma at scale 1 keeps the chroma, at that size alone. */
  get #sized() {
    return this.anySize && !(this.luma && this.scale === 1);
  }

  /** @param {Picture} image @param {Target} target @returns {Promise<Uint8Array>} */
  async #resizedAlpha(image, target) {
    let plane = alphaOf(image), from = [image.width, image.height];
    for (const to of [madeOf(image, target, this.scale), [target.width, target.height]]) {
      plane = (await ask(this.#workers[0], { plane, from, to }, [plane.buffer])).restored;
      from = to;
    }
    return plane;
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

/** @param {Picture} image @param {{x: number, y: number, width: number, height: number}} tile */
function cut(image, { x, y, width, height }) {
  const pixels = new Uint8Array(4 * width * height);
  for (let row = 0; row < height; ++row) {
    const from = 4 * ((y + row) * image.width + x);
    pixels.set(image.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return pixels;
}

/** @param {ImageData} to @param {Uint8Array} pixels @param {{x: number, y: number, width: number}} place */
function paste(to, pixels, { x, y, width }) {
  for (let row = 0; row * 4 * width < pixels.length; ++row)
    to.data.set(pixels.subarray(4 * row * width, 4 * (row + 1) * width), 4 * ((y + row) * to.width + x));
}

/** The compiled core: one instance of lutra.wasm with one model in it. */

/**
 * @typedef {object} Facts
 * @property {string} title such as "mulut x4, sr"
 * @property {number} scale
 * @property {boolean} anySize whether the model makes results of any size; the scale is then that of no size asked for
 * @property {number} colours 3: the model restores red, green and blue together; else 1
 * @property {number} margin how many pixels around a pixel its result depends on
 * @property {boolean} luma whether the model restores the luma alone
 */

/**
 * @typedef {object} Tile part of an image: what is kept, and where that lies in the pixels given, which have a margin
 * @property {number} width
 * @property {number} height
 * @property {number} left
 * @property {number} top
 * @property {number} columns
 * @property {number} rows
 * @property {boolean} gray whether the whole image has equal colours in every pixel
 */

/**
 * @typedef {object} SizedTile part of a result of any size: its place there, and that of the pixels given in the image
 * @property {number} wholeWidth of the image
 * @property {number} wholeHeight
 * @property {number} resultWidth of the result
 * @property {number} resultHeight
 * @property {number} x of the pixels given
 * @property {number} y
 * @property {number} width
 * @property {number} height
 * @property {number} left of the part, in the result
 * @property {number} top
 * @property {number} columns
 * @property {number} rows
 * @property {number} factor that decides where outputs lie; 0: the size does
 * @property {boolean} gray whether the whole image has equal colours in every pixel
 */

const NO_MEMORY = 4;

/** A model in an instance of the core of its own. */
export class Core {
  /** @type {any} */
  #c;
  #model = 0;

  /**
   * @param {WebAssembly.Module} module
   * @param {Uint8Array} plan the bytes of a plan file
   */
  constructor(module, plan) {
    this.#c = new WebAssembly.Instance(module, imports(() => this.#c.memory)).exports;
    this.#c._initialize();
    const bytes = this.#take(plan.length), handle = this.#take(4);
    this.#bytes(bytes, plan.length).set(plan);
    const status = this.#c.lutra_load_memory(bytes, plan.length, handle);
    this.#model = new DataView(this.#c.memory.buffer).getUint32(handle, true);
    this.#c.free(bytes);
    this.#c.free(handle);
    this.#check(status);
  }

  /** @returns {Facts} */
  facts() {
    const c = this.#c;
    return {
      title: this.#text(c.lutra_title(this.#model)),
      scale: c.lutra_scale(this.#model),
      anySize: c.lutra_any_size(this.#model) === 1,
      colours: c.lutra_colours(this.#model),
      margin: c.lutra_margin(this.#model),
      luma: c.lutra_trained_planes(this.#model) === 1,
    };
  }

  /**
   * Restore a tile of RGBA; returns that of what is kept, with alpha 255.
   *
   * @param {Uint8Array | Uint8ClampedArray} pixels
   * @param {Tile} tile
   */
  restore(pixels, { width, height, left, top, columns, rows, gray }) {
    const part = [width, height, left, top, columns, rows, Number(gray)];
    const size = 4 * columns * rows * this.#c.lutra_scale(this.#model) ** 2;
    return this.#run(pixels, size, (from, to) => this.#c.lutra_web_restore(this.#model, from, ...part, to));
  }

  /**
   * Restore a tile of RGBA by a model of any size; returns that part of the result, with alpha 255.
   *
   * @param {Uint8Array | Uint8ClampedArray} pixels
   * @param {SizedTile} tile
   */
  restoreTo(pixels, tile) {
    const { wholeWidth, wholeHeight, resultWidth, resultHeight, x, y, width, height } = tile;
    const { left, top, columns, rows, factor, gray } = tile;
    const places = [wholeWidth, wholeHeight, resultWidth, resultHeight, x, y, width, height];
    const numbers = Int32Array.of(...places, left, top, columns, rows, Number(gray));
    const address = this.#take(numbers.byteLength);
    this.#bytes(address, numbers.byteLength).set(new Uint8Array(numbers.buffer));
    try {
      return this.#run(pixels, 4 * columns * rows, (from, to) =>
        this.#c.lutra_web_restore_to(this.#model, from, address, factor, to));
    } finally {
      this.#c.free(address);
    }
  }

  /**
   * Resample a plane of one channel by bicubic interpolation, antialiased, as Pillow does.
   *
   * @param {Uint8Array} plane
   * @param {[number, number]} from its width and height
   * @param {[number, number]} to
   */
  resize(plane, from, to) {
    return this.#run(plane, to[0] * to[1], (input, out) => this.#c.lutra_web_resize(input, ...from, ...to, out));
  }

  /**
   * Run a function of the core that reads bytes and writes others.
   *
   * @param {Uint8Array | Uint8ClampedArray} input
   * @param {number} size of the output
   * @param {(from: number, to: number) => number} work
   */
  #run(input, size, work) {
    const from = this.#take(input.length), to = this.#take(size);
    this.#bytes(from, input.length).set(input);
    const status = work(from, to);
    const output = status === 0 ? this.#bytes(to, size).slice() : undefined;
    this.#c.free(from);
    this.#c.free(to);
    this.#check(status);
    return /** @type {Uint8Array} */ (output);
  }

  /** @param {number} size */
  #take(size) {
    const address = this.#c.malloc(size) >>> 0;
    if (!address) throw new Error("there is not enough memory");
    return address;
  }

  /** @param {number} address @param {number} size */
  #bytes(address, size) {
    return new Uint8Array(this.#c.memory.buffer, address >>> 0, size);
  }

  /** @param {number} address */
  #text(address) {
    const bytes = new Uint8Array(this.#c.memory.buffer, address >>> 0);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  /** @param {number} status */
  #check(status) {
    if (status === NO_MEMORY) throw new Error("there is not enough memory");
    if (status !== 0) throw new Error(this.#text(this.#c.lutra_error()));
  }
}

/**
 * What the core asks of its surroundings: the time, and an empty environment.
 *
 * @param {() => WebAssembly.Memory} memory
 */
function imports(memory) {
  const numbers = () => new DataView(memory().buffer);
  return {
    env: { emscripten_notify_memory_growth() {} },
    wasi_snapshot_preview1: {
      /** @param {number} clock @param {bigint} precision @param {number} to */
      clock_time_get(clock, precision, to) {
        numbers().setBigUint64(to, BigInt(Math.round(performance.now() * 1e6)), true);
        return 0;
      },
      /** @param {number} count @param {number} size */
      environ_sizes_get(count, size) {
        numbers().setUint32(count, 0, true);
        numbers().setUint32(size, 0, true);
        return 0;
      },
      environ_get: () => 0,
      /** @param {number} code */
      proc_exit(code) {
        throw new Error(`the core ended with ${code}`);
      },
    },
  };
}

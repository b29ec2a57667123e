/** Transparency, as lutra/imaging/alpha.py and resize.py handle it in Python, byte for byte. */

const AROUND = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((across) => [down, across])).filter(([a, b]) => a || b);

/** @typedef {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number }} Picture */

/** @param {Picture} image red, green, blue and alpha */
export function isOpaque({ data }) {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/**
 * Give pixels that are fully transparent the colours of the visible ones next to them, ring by ring, and those further
 * away the mean of all; returns a new image, or the same one where nothing or everything is hidden.
 *
 * @param {Picture} image
 * @param {number} rings
 * @returns {Picture}
 */
export function fillHidden(image, rings) {
  const { width, height } = image, data = image.data.slice();
  const weight = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]);
  const hidden = (/** @type {number} */ at) => weight[at] === 0;
  if (weight.every((one) => one) || !weight.some((one) => one)) return image;

  // The neighbours of a pixel; beyond the border lies what is next to it.
  const neighbours = (/** @type {number} */ at) => AROUND.map(([down, across]) => {
    const row = Math.floor(at / width) + down, column = at % width + across;
    return clamped(row, height) * width + clamped(column, width);
  });
  let edge = [...weight.keys()].filter((at) => hidden(at) && neighbours(at).some((next) => !hidden(next)));
  for (let ring = 0; ring < rings && edge.length; ++ring) {
    const colours = edge.map((at) => mean(data, neighbours(at), (next) => weight[next]));
    edge.forEach((at, i) => data.set(colours[i], 4 * at));
    for (const at of edge) weight[at] = 255;
    edge = [...new Set(edge.flatMap((at) => neighbours(at).filter(hidden)))];
  }
  const left = [...weight.keys()].filter(hidden);
  if (left.length) {
    const all = mean(data, weight.keys(), (at) => (hidden(at) ? 0 : 1), (value) => value);
    for (const at of left) data.set(all, 4 * at);
  }
  return { data, width, height };
}

/**
 * Set an image's alpha to that of another one, enlarged by bicubic interpolation.
 *
 * @param {Picture} to
 * @param {Picture} from
 * @param {number} scale
 */
export function enlargeAlpha(to, from, scale) {
  const { width, height } = from;
  let alpha = alphaOf(from);
  if (scale > 1) alpha = enlarged(enlarged(alpha, height, width, scale, true), width, height * scale, scale, false);
  setAlpha(to, alpha);
}

/** @param {Picture} image */
export function alphaOf({ data, width, height }) {
  return Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]);
}

/** @param {Picture} to @param {Uint8Array} alpha */
export function setAlpha(to, alpha) {
  alpha.forEach((value, i) => { to.data[4 * i + 3] = value; });
}

/**
 * The weighted mean of colours, rounded; Python divides in single precision where it fills rings.
 *
 * @param {Uint8Array | Uint8ClampedArray} data
 * @param {Iterable<number>} places
 * @param {(place: number) => number} weight
 */
function mean(data, places, weight, precision = Math.fround) {
  let total = 0;
  const sums = [0, 0, 0];
  for (const at of places) {
    total += weight(at);
    for (let i = 0; i < 3; ++i) sums[i] += weight(at) * data[4 * at + i];
  }
  return sums.map((sum) => toEven(precision(sum / total)));
}

/**
 * Enlarge planes of one channel along rows or columns.
 *
 * @param {Uint8Array} values
 * @param {number} size along the axis @param {number} others along the other axis
 * @param {number} scale
 * @param {boolean} rows whether the axis is that of rows
 */
function enlarged(values, size, others, scale, rows) {
  const made = new Uint8Array(values.length * scale), [step, across] = rows ? [others, 1] : [1, size];
  const [stepMade, acrossMade] = rows ? [others, 1] : [1, size * scale];
  for (let phase = 0; phase < scale; ++phase) {
    const { first, weights } = phaseOf(phase, scale);
    for (let at = 0; at < size; ++at) {
      const taps = weights.map((_, tap) => mirrored(at + first + tap, size) * step);
      for (let other = 0; other < others; ++other) {
        let total = 0;
        for (let tap = 0; tap < taps.length; ++tap) total += values[taps[tap] + other * across] * weights[tap];
        const value = Math.min(255, Math.max(0, Math.floor(total + 0.5)));
        made[(at * scale + phase) * stepMade + other * acrossMade] = value;
      }
    }
  }
  return made;
}

/**
 * The first input that an output reads, counted from its own, and the weights.
 *
 * @param {number} phase of the output among `scale`
 * @param {number} scale
 */
function phaseOf(phase, scale) {
  const centre = 2 * phase + 1 - scale;  // in units of 1 / (2 * scale)
  const start = Math.floor((centre - 4 * scale) / (2 * scale));
  const taps = Array.from({ length: 6 }, (_, i) => cubic((centre - 2 * scale * (start + i)) / (2 * scale)));
  const used = [...taps.keys()].filter((i) => taps[i] !== 0);
  const weights = taps.slice(used[0], used[used.length - 1] + 1);
  const total = weights.reduce((sum, one) => sum + one, 0);
  return { first: start + used[0], weights: weights.map((one) => one / total) };
}

/** Keys' cubic convolution with a = -1/2. @param {number} x */
function cubic(x) {
  x = Math.abs(x);
  if (x <= 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x <= 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
}

/** @param {number} place @param {number} size */
const clamped = (place, size) => Math.min(size - 1, Math.max(0, place));

/** The border is mirrored, and repeated. @param {number} place @param {number} size */
function mirrored(place, size) {
  const inside = ((place % (2 * size)) + 2 * size) % (2 * size);
  return inside < size ? inside : 2 * size - 1 - inside;
}

/** Round halves to the even number, as Python does. @param {number} value */
export function toEven(value) {
  const below = Math.floor(value), rest = value - below;
  return rest === 0.5 ? below + below % 2 : Math.round(value);
}

/** The size of a result, as lutra/restore/sizes.py has it in Python, and its tiles. */
import { toEven } from "./alpha.js";

const TILE = 192;
const MOST_COLUMNS = 1024;
const MOST_SIDE = 2 ** 20;

/**
 * @typedef {object} Size what a result is to be: a factor, or its sides; a side that is missing follows from the other
 * @property {number} [scale]
 * @property {number} [width]
 * @property {number} [height]
 */

/** @typedef {{ width: number, height: number, factor: number }} Target factor: 0 where the size decides where outputs lie */

/**
 * The size of the result of an image; throws RangeError.
 *
 * @param {number} width @param {number} height of the image
 * @param {Size} size
 * @param {number} own the model's scale
 * @returns {Target}
 */
export function targetOf(width, height, size, own) {
  const { scale, width: across, height: down } = size;
  if (scale === undefined && across === undefined && down === undefined)
    return { width: width * own, height: height * own, factor: own };
  if (scale !== undefined) {
    if (across !== undefined || down !== undefined) throw new RangeError("found a scale and a size, expected one of them");
    if (!(scale > 0 && scale <= MOST_SIDE)) throw new RangeError(`scale is ${scale}, expected a number above 0`);
    return checked({ width: outputsOf(width, scale), height: outputsOf(height, scale), factor: scale });
  }
  for (const side of [across, down])
    if (side !== undefined && !(Number.isInteger(side) && side >= 1))
      throw new RangeError(`size has a side of ${side}, expected whole numbers of pixels`);
  const wide = across ?? Math.max(1, toEven(width * Number(down) / height));
  return checked({ width: wide, height: down ?? Math.max(1, toEven(height * wide / width)), factor: 0 });
}

/** @param {Target} target */
function checked(target) {
  if (Math.max(target.width, target.height) > MOST_SIDE)
    throw new RangeError(`the result would have ${target.width}x${target.height} pixels, expected sides of at most ${MOST_SIDE}`);
  return target;
}

/**
 * The pixels of a side times a factor, rounded up. The factor counts as the decimal number that it is written as.
 *
 * @param {number} size @param {number} factor
 */
export function outputsOf(size, factor) {
  const [digits, power = "0"] = String(factor).split("e"), [whole, part = ""] = digits.split(".");
  const shift = BigInt(Number(power) - part.length), product = BigInt(whole + part) * BigInt(size);
  if (shift >= 0n) return Number(product * 10n ** shift);
  const divisor = 10n ** -shift;
  return Number((product + divisor - 1n) / divisor);
}

/**
 * The size that a model makes, from which bicubic interpolation makes the result where an axis does not grow.
 *
 * @param {{ width: number, height: number }} image
 * @param {Target} target
 * @param {number} own the model's scale
 * @returns {[number, number]}
 */
export function madeOf(image, target, own) {
  return [
    target.width > image.width ? target.width : image.width * own,
    target.height > image.height ? target.height : image.height * own,
  ];
}

/**
 * @typedef {object} Tile
 * @property {{ x: number, y: number, width: number, height: number }} pixels that it reads of the image
 * @property {object} part what the core is told of it
 * @property {{ x: number, y: number, width: number }} place of what it becomes
 */

/**
 * Tiles of an image, with the model's margin around them.
 *
 * @param {{ width: number, height: number }} image
 * @param {number} margin @param {number} scale of the model
 * @returns {Tile[]}
 */
export function tilesOf({ width, height }, margin, scale) {
  const tiles = [];
  for (let top = 0; top < height; top += TILE)
    for (let left = 0; left < width; left += TILE) {
      const x = Math.max(0, left - margin), y = Math.max(0, top - margin);
      const columns = Math.min(TILE, width - left), rows = Math.min(TILE, height - top);
      const size = {
        width: Math.min(width, left + columns + margin) - x,
        height: Math.min(height, top + rows + margin) - y,
      };
      tiles.push({
        pixels: { x, y, ...size },
        part: { ...size, columns, rows, left: left - x, top: top - y },
        place: { x: left * scale, y: top * scale, width: columns * scale },
      });
    }
  return tiles;
}

/**
 * Tiles of a result of any size; each reads some pixels to spare.
 *
 * @param {{ width: number, height: number }} image
 * @param {Target} target
 * @param {number} margin of the model
 * @returns {Tile[]}
 */
export function sizedTilesOf(image, target, margin) {
  const whole = {
    wholeWidth: image.width, wholeHeight: image.height,
    resultWidth: target.width, resultHeight: target.height, factor: target.factor,
  };
  const columns = spansOf(image.width, target.width, margin);
  return spansOf(image.height, target.height, margin).flatMap((row) => columns.map((column) => {
    const pixels = { x: column.first, y: row.first, width: column.read, height: row.read };
    const part = { left: column.begin, top: row.begin, columns: column.count, rows: row.count };
    return { pixels, part: { ...whole, ...pixels, ...part }, place: { x: part.left, y: part.top, width: part.columns } };
  }));
}

/** @param {number} from @param {number} to pixels of an axis @param {number} margin */
function spansOf(from, to, margin) {
  const step = Math.min(MOST_COLUMNS, Math.max(1, Math.floor(TILE * to / from))), spans = [];
  const around = margin + 4 + Math.ceil(2 * Math.max(from / to, 1));
  for (let begin = 0; begin < to; begin += step) {
    const end = Math.min(to, begin + step);
    const first = Math.max(0, Math.floor(begin * from / to) - around);
    const read = Math.min(from, Math.ceil(end * from / to) + around) - first;
    spans.push({ begin, count: end - begin, first, read });
  }
  return spans;
}

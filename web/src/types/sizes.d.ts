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
export function targetOf(width: number, height: number, size: Size, own: number): Target;
/**
 * The pixels of a side times a factor, rounded up. The factor counts as the decimal number that it is written as.
 *
 * @param {number} size @param {number} factor
 */
export function outputsOf(size: number, factor: number): number;
/**
 * The size that a model makes, from which bicubic interpolation makes the result where an axis does not grow.
 *
 * @param {{ width: number, height: number }} image
 * @param {Target} target
 * @param {number} own the model's scale
 * @returns {[number, number]}
 */
export function madeOf(image: {
    width: number;
    height: number;
}, target: Target, own: number): [number, number];
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
export function tilesOf({ width, height }: {
    width: number;
    height: number;
}, margin: number, scale: number): Tile[];
/**
 * Tiles of a result of any size; each reads some pixels to spare.
 *
 * @param {{ width: number, height: number }} image
 * @param {Target} target
 * @param {number} margin of the model
 * @returns {Tile[]}
 */
export function sizedTilesOf(image: {
    width: number;
    height: number;
}, target: Target, margin: number): Tile[];
/**
 * what a result is to be: a factor, or its sides; a side that is missing follows from the other
 */
export type Size = {
    scale?: number | undefined;
    width?: number | undefined;
    height?: number | undefined;
};
/**
 * factor: 0 where the size decides where outputs lie
 */
export type Target = {
    width: number;
    height: number;
    factor: number;
};
export type Tile = {
    /**
     * that it reads of the image
     */
    pixels: {
        x: number;
        y: number;
        width: number;
        height: number;
    };
    /**
     * what the core is told of it
     */
    part: object;
    /**
     * of what it becomes
     */
    place: {
        x: number;
        y: number;
        width: number;
    };
};

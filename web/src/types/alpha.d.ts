/** @typedef {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number }} Picture */
/** @param {Picture} image red, green, blue and alpha */
export function isOpaque({ data }: Picture): boolean;
/**
 * Give pixels that are fully transparent the colours of the visible ones next to them, ring by ring, and those further
 * away the mean of all; returns a new image, or the same one where nothing or everything is hidden.
 *
 * @param {Picture} image
 * @param {number} rings
 * @returns {Picture}
 */
export function fillHidden(image: Picture, rings: number): Picture;
/**
 * Set an image's alpha to that of another one, enlarged by bicubic interpolation.
 *
 * @param {Picture} to
 * @param {Picture} from
 * @param {number} scale
 */
export function enlargeAlpha(to: Picture, from: Picture, scale: number): void;
/** @param {Picture} image */
export function alphaOf({ data, width, height }: Picture): Uint8Array<ArrayBuffer>;
/** @param {Picture} to @param {Uint8Array} alpha */
export function setAlpha(to: Picture, alpha: Uint8Array): void;
/** Round halves to the even number, as Python does. @param {number} value */
export function toEven(value: number): number;
export type Picture = {
    data: Uint8Array | Uint8ClampedArray;
    width: number;
    height: number;
};

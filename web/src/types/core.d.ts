/** A model in an instance of the core of its own. */
export class Core {
    /**
     * @param {WebAssembly.Module} module
     * @param {Uint8Array} plan the bytes of a plan file
     */
    constructor(module: WebAssembly.Module, plan: Uint8Array);
    /** @returns {Facts} */
    facts(): Facts;
    /**
     * Restore a tile of RGBA; returns that of what is kept, with alpha 255.
     *
     * @param {Uint8Array | Uint8ClampedArray} pixels
     * @param {Tile} tile
     */
    restore(pixels: Uint8Array | Uint8ClampedArray, { width, height, left, top, columns, rows, gray }: Tile): Uint8Array<ArrayBufferLike>;
    /**
     * Restore a tile of RGBA by a model of any size; returns that part of the result, with alpha 255.
     *
     * @param {Uint8Array | Uint8ClampedArray} pixels
     * @param {SizedTile} tile
     */
    restoreTo(pixels: Uint8Array | Uint8ClampedArray, tile: SizedTile): Uint8Array<ArrayBufferLike>;
    /**
     * Resample a plane of one channel by bicubic interpolation, antialiased, as Pillow does.
     *
     * @param {Uint8Array} plane
     * @param {[number, number]} from its width and height
     * @param {[number, number]} to
     */
    resize(plane: Uint8Array, from: [number, number], to: [number, number]): Uint8Array<ArrayBufferLike>;
    #private;
}
export type Facts = {
    /**
     * such as "mulut x4, sr"
     */
    title: string;
    scale: number;
    /**
     * whether the model makes results of any size; the scale is then that of no size asked for
     */
    anySize: boolean;
    /**
     * 3: the model restores red, green and blue together; else 1
     */
    colours: number;
    /**
     * how many pixels around a pixel its result depends on
     */
    margin: number;
    /**
     * whether the model restores the luma alone
     */
    luma: boolean;
};
/**
 * part of an image: what is kept, and where that lies in the pixels given, which have a margin
 */
export type Tile = {
    width: number;
    height: number;
    left: number;
    top: number;
    columns: number;
    rows: number;
    /**
     * whether the whole image has equal colours in every pixel
     */
    gray: boolean;
};
/**
 * part of a result of any size: its place there, and that of the pixels given in the image
 */
export type SizedTile = {
    /**
     * of the image
     */
    wholeWidth: number;
    wholeHeight: number;
    /**
     * of the result
     */
    resultWidth: number;
    resultHeight: number;
    /**
     * of the pixels given
     */
    x: number;
    y: number;
    width: number;
    height: number;
    /**
     * of the part, in the result
     */
    left: number;
    top: number;
    columns: number;
    rows: number;
    /**
     * that decides where outputs lie; 0: the size does
     */
    factor: number;
    /**
     * whether the whole image has equal colours in every pixel
     */
    gray: boolean;
};

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
    restore(pixels: Uint8Array | Uint8ClampedArray, { width, height, left, top, columns, rows, gray }: Tile): Uint8Array;
    #private;
}
export type Facts = {
    /**
     * such as "mulut x4, sr"
     */
    title: string;
    scale: number;
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

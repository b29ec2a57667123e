/** @typedef {import("./core.js").Facts} Facts */
/** @typedef {import("./alpha.js").Picture} Picture */
/** @typedef {import("./sizes.js").Size} Size */
/** @typedef {import("./sizes.js").Target} Target */
/** @typedef {Size & { signal?: AbortSignal, progress?: (done: number, total: number) => void }} RestoreOptions */
/** A model in its workers. */
export class Model {
    /**
     * Start workers with a model; `load` calls it.
     *
     * @param {WebAssembly.Module} module
     * @param {Uint8Array} plan
     * @param {() => Worker} makeWorker
     * @param {number} count
     * @returns {Promise<Model>}
     */
    static start(module: WebAssembly.Module, plan: Uint8Array, makeWorker: () => Worker, count: number): Promise<Model>;
    /**
     * @private
     * @param {Worker[]} workers
     * @param {Facts} facts
     * @param {number} bytes of its plan file
     */
    private constructor();
    /** Such as "mulut x4, sr". @readonly */
    readonly title: string;
    /** @readonly */
    readonly scale: number;
    /** Whether the model makes results of any size; `scale` is then the factor where none is asked for. @readonly */
    readonly anySize: boolean;
    /** 3: the model restores red, green and blue together; else 1. @readonly */
    readonly colours: number;
    /** How many pixels around a pixel its result depends on. @readonly */
    readonly margin: number;
    /** Whether the model restores the luma alone. @readonly */
    readonly luma: boolean;
    /** The size of the plan file. @readonly */
    readonly bytes: number;
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
    restore(image: Picture, options?: RestoreOptions): Promise<ImageData>;
    /** End the workers. */
    close(): void;
    #private;
}
export type Facts = import("./core.js").Facts;
export type Picture = import("./alpha.js").Picture;
export type Size = import("./sizes.js").Size;
export type Target = import("./sizes.js").Target;
export type RestoreOptions = Size & {
    signal?: AbortSignal;
    progress?: (done: number, total: number) => void;
};

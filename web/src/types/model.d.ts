/** @typedef {import("./core.js").Facts} Facts */
/** @typedef {import("./alpha.js").Picture} Picture */
/** @typedef {{ signal?: AbortSignal, progress?: (done: number, total: number) => void }} RestoreOptions */
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
export type RestoreOptions = {
    signal?: AbortSignal;
    progress?: (done: number, total: number) => void;
};

/** A model in its workers. */
export class Model {
  private constructor();
  /** Such as "mulut x4, sr". */
  readonly title: string;
  readonly scale: number;
  /** 3: the model restores red, green and blue together; else 1. */
  readonly colours: number;
  /** How many pixels around a pixel its result depends on. */
  readonly margin: number;
  /** Whether the model restores the luma alone. */
  readonly luma: boolean;
  /** Of its plan file. */
  readonly bytes: number;
  /** Restore an image, tile by tile; alpha is enlarged by bicubic interpolation. */
  restore(
    image: { data: Uint8Array | Uint8ClampedArray; width: number; height: number },
    options?: { signal?: AbortSignal; progress?: (done: number, total: number) => void },
  ): Promise<ImageData>;
  /** End the workers. */
  close(): void;
}

/** Load a model from the address or the bytes of a plan file. `workers`: one a processor, at most 8, by default. */
export function load(
  source: string | URL | ArrayBuffer | Uint8Array,
  options?: { workers?: number },
): Promise<Model>;

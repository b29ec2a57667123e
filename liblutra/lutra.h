/* liblutra: restore images by lookup tables. docs/c.md shows how to build, link and use it.
 *
 * A model comes from a plan file (docs/format.md), which `lutra export --format plan` writes. It restores images of 8
 * bits a channel, each channel by itself or three colours together, and returns the same bytes as lutra for Python.
 *
 * Every function may be called from several threads at once, with the same model too; only `lutra_free` must be the
 * last call for its model. No function throws, prints or ends the process. */
#ifndef LUTRA_H
#define LUTRA_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(LUTRA_BUILDS)
#define LUTRA_API __declspec(dllexport)
#elif defined(__GNUC__)
#define LUTRA_API __attribute__((visibility("default")))
#else
#define LUTRA_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. A program that was built with another one must not call anything but `lutra_abi`. */
#define LUTRA_ABI 1

typedef enum lutra_status {
    LUTRA_OK = 0,
    LUTRA_BAD_ARGUMENT = 1, /* the caller's mistake: a null pointer, a size, a stride, a vector level */
    LUTRA_CANNOT_READ = 2,  /* the file does not open, or reading fails */
    LUTRA_BAD_PLAN = 3,     /* the bytes are no plan file, are damaged, or of a version that is unknown here */
    LUTRA_NO_MEMORY = 4,
    LUTRA_FAILED = 5 /* anything else */
} lutra_status;

/* What a model was trained on, which is what to restore by it. */
typedef enum lutra_planes {
    LUTRA_EACH_PLANE = 0, /* red, green and blue, or gray, 0..255 */
    LUTRA_LUMA = 1        /* the luma of BT.601, 16..235, alone */
} lutra_planes;

typedef struct lutra_model lutra_model;

/* The ABI and the version, such as "0.1.0", of the library that is in use. */
LUTRA_API int lutra_abi(void);
LUTRA_API const char *lutra_version(void);

/* What went wrong in the last call of this thread that returned no LUTRA_OK, in one line. The text is never null and
 * stays until the next such call of this thread. */
LUTRA_API const char *lutra_error(void);

/* Read a plan file, or `size` bytes that hold one, which are not needed afterwards. Everything in it is checked.
 *
 * model: receives the model, to be given to `lutra_free`; null where the call fails.
 *
 * The environment variable LUTRA_SIMD (portable, avx2, avx512 or neon) chooses the level of vector instructions;
 * without it, the best one that the processor runs is used. Results do not depend on it. */
LUTRA_API lutra_status lutra_load_file(const char *path, lutra_model **model);
LUTRA_API lutra_status lutra_load_memory(const void *bytes, size_t size, lutra_model **model);

/* Free a model; null is allowed. */
LUTRA_API void lutra_free(lutra_model *model);

/* Facts about a model. Texts live as long as it does. */
LUTRA_API int lutra_scale(const lutra_model *model);         /* the factor by which each side grows, 1 to 8 */
LUTRA_API int lutra_any_size(const lutra_model *model);      /* 1: `lutra_restore_to` makes any size; else 0 */
LUTRA_API int lutra_colours(const lutra_model *model);       /* 3: it restores red, green and blue together; else 1 */
LUTRA_API int lutra_margin(const lutra_model *model);        /* how far around a pixel its result depends on others */
LUTRA_API lutra_planes lutra_trained_planes(const lutra_model *model);
LUTRA_API const char *lutra_title(const lutra_model *model); /* such as "mulut x4, sr" */
LUTRA_API const char *lutra_level(const lutra_model *model); /* the vector level in use, such as "avx2" */

/* Restore an image.
 *
 * in: height rows of width pixels of `channels` bytes, `in_stride` bytes from a row to the next. A stride may be larger
 *     than a row, or negative where the first row lies last.
 * channels: 1 to 4. A model that restores three colours together (`lutra_colours`) takes 3, red first, or 1: gray, which
 *     it restores as three equal colours, and returns the mean of what they become.
 * out: takes height * scale rows of width * scale pixels, `out_stride` bytes apart. It shares no memory with `in`.
 * threads: how many threads to use; 0 for one for each processor that this process may run on. The library keeps its
 *     threads between calls; results do not depend on their number. */
LUTRA_API lutra_status lutra_restore(const lutra_model *model, const uint8_t *in, ptrdiff_t in_stride, int width,
                                     int height, int channels, uint8_t *out, ptrdiff_t out_stride, int threads);

/* Restore an image to any size, by a model for which `lutra_any_size` is 1; other models refuse.
 *
 * in, channels, threads: as for `lutra_restore`.
 * out: takes out_height rows of out_width pixels, `out_stride` bytes apart. An axis that does not grow is enlarged by
 *     `lutra_scale`, and the result is shrunk by bicubic interpolation, antialiased.
 * scale: 0: the outputs along an axis lie as out_width / width and out_height / height have it. Else they lie as this
 *     factor has it, around the same centre; the size is then that of `lutra_outputs`. */
LUTRA_API lutra_status lutra_restore_to(const lutra_model *model, const uint8_t *in, ptrdiff_t in_stride, int width,
                                        int height, int channels, uint8_t *out, ptrdiff_t out_stride, int out_width,
                                        int out_height, double scale, int threads);

/* The pixels of a side of `size` pixels times a factor, rounded up, where the factor counts as the shortest decimal
 * number that it is read from: 100 times 1.1 are 110. 0 where the size, the factor or the result is out of range. */
LUTRA_API int lutra_outputs(int size, double scale);

/* Where the memory of tables, planes and working space comes from: all that grows with models and images. (Bookkeeping
 * and what lives only while a model is loaded come from the C++ runtime.) Both functions are called from several
 * threads at once. */
typedef struct lutra_memory {
    /* Return `size` bytes at a multiple of `alignment`, a power of two; null where there are none. */
    void *(*allocate)(size_t size, size_t alignment, void *context);
    /* Take them back, with the same size and alignment. */
    void (*release)(void *memory, size_t size, size_t alignment, void *context);
    void *context;
} lutra_memory;

/* Use this memory from now on; null for the C library's. Refused while a model is loaded. */
LUTRA_API lutra_status lutra_set_memory(const lutra_memory *memory);

#ifdef __cplusplus
}
#endif

#endif

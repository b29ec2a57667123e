/* Restore a PPM (RGB) or PGM (gray) image of 8 bits by a plan file:
 *
 *     restore MODEL.lut IN.ppm OUT.ppm [--size WIDTHxHEIGHT | --scale FACTOR] [THREADS]
 *
 * Only models of any size take a size or a factor. `lutra export --format plan MODEL -o MODEL.lut` writes the plan
 * file. The result has the bytes that `lutra restore -m MODEL` gives for the same pixels. */
#include <lutra.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int width, height, channels; /* 1: gray, 3: RGB */
    uint8_t* pixels;
} image;

static image new_image(int width, int height, int channels) {
    image made = {width, height, channels, NULL};
    if (width > 0 && height > 0 && (size_t)width <= SIZE_MAX / 8 / (size_t)height)
        made.pixels = malloc((size_t)width * (size_t)height * (size_t)channels);
    return made;
}

static size_t bytes_of(const image* a) { return (size_t)a->width * (size_t)a->height * (size_t)a->channels; }

/* The next number of a header, after white space and comments; -1 where there is none, or one of more than 8 digits. */
static int read_number(FILE* file) {
    int c = getc(file), digits = 0, number = 0;
    while (c == '#' || isspace(c)) {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(file);
        else
            c = getc(file);
    }
    for (; isdigit(c) && digits < 8; ++digits, c = getc(file)) number = 10 * number + (c - '0');
    return digits > 0 && isspace(c) ? number : -1;
}

static image read_image(const char* path) {
    image read = {0, 0, 0, NULL};
    FILE* file = fopen(path, "rb");
    if (!file) return read;
    char magic[2] = "";
    if (fread(magic, 1, 2, file) == 2 && magic[0] == 'P' && (magic[1] == '5' || magic[1] == '6')) {
        const int width = read_number(file), height = read_number(file);
        if (read_number(file) == 255) read = new_image(width, height, magic[1] == '5' ? 1 : 3);
    }
    if (read.pixels && fread(read.pixels, 1, bytes_of(&read), file) != bytes_of(&read)) {
        free(read.pixels);
        read.pixels = NULL;
    }
    fclose(file);
    return read;
}

static int write_image(const char* path, const image* a) {
    FILE* file = fopen(path, "wb");
    if (!file) return 0;
    int written = fprintf(file, "P%c\n%d %d\n255\n", a->channels == 1 ? '5' : '6', a->width, a->height) > 0;
    written = fwrite(a->pixels, 1, bytes_of(a), file) == bytes_of(a) && written;
    return fclose(file) == 0 && written;
}

/* The luma of BT.601 in 16..235, not rounded. */
static double luma(const uint8_t* pixel, int channels) {
    double y = 16;
    if (channels == 1) return y + pixel[0] * (219.0 / 255);
    y += 65.481 / 255 * pixel[0];
    y += 128.553 / 255 * pixel[1];
    y += 24.966 / 255 * pixel[2];
    return y;
}

/* Models for JPEG deblocking restore the luma: what it changes by is added to every channel, so that the chroma stays.
 * Such models have scale 1. */
static lutra_status restore_luma(const lutra_model* model, const image* in, image* out, int threads) {
    image before = new_image(in->width, in->height, 1), after = new_image(in->width, in->height, 1);
    lutra_status status = LUTRA_NO_MEMORY;
    if (before.pixels && after.pixels) {
        for (size_t i = 0; i < bytes_of(&before); ++i)
            before.pixels[i] = (uint8_t)rint(luma(in->pixels + i * (size_t)in->channels, in->channels));
        status =
            lutra_restore(model, before.pixels, in->width, in->width, in->height, 1, after.pixels, in->width, threads);
    }
    for (size_t i = 0; status == LUTRA_OK && i < bytes_of(in); ++i) {
        const size_t pixel = i / (size_t)in->channels;
        const double change = (after.pixels[pixel] - before.pixels[pixel]) * (255.0 / 219);
        const double value = rint(in->pixels[i] + change);
        out->pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    free(before.pixels);
    free(after.pixels);
    return status;
}

/* What the command line asks for: a size, a factor, or 0 for the model's own scale. */
typedef struct {
    int width, height, threads;
    double scale;
} request;

/* Read the words after the files; returns 0 where they are wrong. */
static int read_request(request* asked, char** words, int count) {
    char rest;
    for (int i = 0; i < count; ++i) {
        const char* next = i + 1 < count ? words[i + 1] : "";
        if (strcmp(words[i], "--size") == 0) {
            if (asked->scale > 0 || sscanf(next, "%8dx%8d%c", &asked->width, &asked->height, &rest) != 2) return 0;
            if (asked->width < 1 || asked->height < 1) return 0;
            ++i;
        } else if (strcmp(words[i], "--scale") == 0) {
            if (asked->width > 0 || sscanf(next, "%lf%c", &asked->scale, &rest) != 1 || !(asked->scale > 0)) return 0;
            ++i;
        } else if (i + 1 != count || sscanf(words[i], "%8d%c", &asked->threads, &rest) != 1)
            return 0;
    }
    return 1;
}

/* The image that takes the result; without pixels where it would be too large. */
static image new_result(const lutra_model* model, const image* in, const request* asked) {
    const int scale = lutra_scale(model);
    if (asked->scale > 0)
        return new_image(lutra_outputs(in->width, asked->scale), lutra_outputs(in->height, asked->scale), in->channels);
    if (asked->width > 0) return new_image(asked->width, asked->height, in->channels);
    return new_image(in->width * scale, in->height * scale, in->channels);
}

static lutra_status restore(const lutra_model* model, const image* in, image* out, const request* asked) {
    const ptrdiff_t in_stride = (ptrdiff_t)in->width * in->channels, out_stride = (ptrdiff_t)out->width * in->channels;
    if (asked->scale > 0 || asked->width > 0)
        return lutra_restore_to(model, in->pixels, in_stride, in->width, in->height, in->channels, out->pixels,
                                out_stride, out->width, out->height, asked->scale, asked->threads);
    if (lutra_trained_planes(model) == LUTRA_LUMA && lutra_scale(model) == 1)
        return restore_luma(model, in, out, asked->threads);
    return lutra_restore(model, in->pixels, in_stride, in->width, in->height, in->channels, out->pixels, out_stride,
                         asked->threads);
}

int main(int count, char** words) {
    request asked = {0, 0, 0, 0};
    if (count < 4 || !read_request(&asked, words + 4, count - 4)) {
        fprintf(stderr, "usage: %s MODEL.lut IN.ppm OUT.ppm [--size WIDTHxHEIGHT | --scale FACTOR] [THREADS]\n",
                words[0]);
        return 2;
    }
    if (lutra_abi() != LUTRA_ABI) {
        fprintf(stderr, "liblutra has ABI %d, expected %d\n", lutra_abi(), LUTRA_ABI);
        return 1;
    }
    lutra_model* model = NULL;
    if (lutra_load_file(words[1], &model) != LUTRA_OK) {
        fprintf(stderr, "%s\n", lutra_error());
        return 1;
    }
    int ended = 1;
    image in = read_image(words[2]);
    image out = new_result(model, &in, &asked);
    if (!in.pixels)
        fprintf(stderr, "%s: no PPM or PGM image of 8 bits, or it is cut\n", words[2]);
    else if (!out.pixels)
        fprintf(stderr, "%s: too large\n", words[2]);
    else if (restore(model, &in, &out, &asked) != LUTRA_OK)
        fprintf(stderr, "%s\n", lutra_error());
    else if (!write_image(words[3], &out))
        fprintf(stderr, "%s: cannot be written\n", words[3]);
    else
        ended = 0;
    free(in.pixels);
    free(out.pixels);
    lutra_free(model);
    return ended;
}

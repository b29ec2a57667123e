// What a page calls besides liblutra: one tile of an image of red, green, blue and alpha.
#include <cmath>
#include <memory>
#include <new>

#include "lutra.h"

namespace {

using Bytes = std::unique_ptr<std::uint8_t[]>;  // not set to 0 first, as a vector would be

// Part of an image of RGBA, rows of `width` pixels.
struct Tile {
    const std::uint8_t* pixels;
    int width, height;
    // What is kept of it, the margin left out.
    int left, top, columns, rows;
    bool gray;  // whether the whole image is: red, green and blue are equal
};

std::uint8_t to_byte(double value) {
    return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : std::rint(value));
}

// Restores red, green and blue, each by itself or together; of a gray image, one channel.
lutra_status restore_colours(const lutra_model* model, const Tile& tile, std::uint8_t* out) {
    const int scale = lutra_scale(model), width = tile.width * scale, count = tile.gray ? 1 : 3;
    const std::size_t pixels = std::size_t(tile.width) * tile.height;
    const Bytes colours(new std::uint8_t[count * pixels]), restored(new std::uint8_t[count * pixels * scale * scale]);
    for (std::size_t i = 0; i < pixels; ++i)
        for (int channel = 0; channel < count; ++channel) colours[count * i + channel] = tile.pixels[4 * i + channel];
    const lutra_status status = lutra_restore(model, colours.get(), count * tile.width, tile.width, tile.height, count,
                                              restored.get(), count * width, 1);
    for (int row = 0; status == LUTRA_OK && row < tile.rows * scale; ++row) {
        const std::size_t first = std::size_t(row + tile.top * scale) * width + tile.left * scale;
        for (int i = 0; i < tile.columns * scale; ++i, out += 4) {
            for (int channel = 0; channel < 3; ++channel)
                out[channel] = restored[count * (first + i) + (tile.gray ? 0 : channel)];
            out[3] = 255;
        }
    }
    return status;
}

// The luma of BT.601 in 16..235, not rounded; the order of the sum is that of lutra/imaging/colour.py.
double luma(const std::uint8_t* pixel) {
    double y = 16;
    y += 65.481 / 255 * pixel[0];
    y += 128.553 / 255 * pixel[1];
    y += 24.966 / 255 * pixel[2];
    return y;
}

// Restores the luma at scale 1 and adds what it changes by to every colour, so that the chroma stays.
lutra_status restore_luma(const lutra_model* model, const Tile& tile, std::uint8_t* out) {
    const std::size_t pixels = std::size_t(tile.width) * tile.height;
    const Bytes before(new std::uint8_t[pixels]), after(new std::uint8_t[pixels]);
    for (std::size_t i = 0; i < pixels; ++i) before[i] = to_byte(luma(tile.pixels + 4 * i));
    const lutra_status status =
        lutra_restore(model, before.get(), tile.width, tile.width, tile.height, 1, after.get(), tile.width, 1);
    for (int row = tile.top; status == LUTRA_OK && row < tile.top + tile.rows; ++row)
        for (int column = tile.left; column < tile.left + tile.columns; ++column, out += 4) {
            const std::size_t i = std::size_t(row) * tile.width + column;
            const double change = (double(after[i]) - before[i]) * (255.0 / 219);
            for (int channel = 0; channel < 3; ++channel) out[channel] = to_byte(tile.pixels[4 * i + channel] + change);
            out[3] = 255;
        }
    return status;
}

}  // namespace

// Restores a tile of RGBA, whose alpha counts as opaque, into `out`: the part that is kept, times the scale.
extern "C" LUTRA_API int lutra_web_restore(const lutra_model* model, const std::uint8_t* pixels, int width, int height,
                                           int left, int top, int columns, int rows, int gray, std::uint8_t* out) {
    const Tile tile{pixels, width, height, left, top, columns, rows, gray != 0};
    try {
        const bool by_luma = lutra_trained_planes(model) == LUTRA_LUMA && lutra_scale(model) == 1;
        return (by_luma ? restore_luma : restore_colours)(model, tile, out);
    } catch (const std::bad_alloc&) {
        return LUTRA_NO_MEMORY;
    }
}

// What a page calls besides liblutra: one tile of an image of red, green, blue and alpha.
#include <cmath>
#include <memory>

#include "colours.hpp"
#include "model.hpp"

namespace {

using Bytes = std::unique_ptr<std::uint8_t[]>;  // not set to 0 first, as a vector would be

// A tile of a result of any size; web/src/core.js writes it.
struct SizedTile {
    int whole_width, whole_height, result_width, result_height;
    int left, top, width, height;                              // the pixels given, in the image
    int result_left, result_top, result_columns, result_rows;  // what is wanted, in the result
    int gray;                                                  // whether the whole image is
};

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
    lutra::take_colours(tile.pixels, count, static_cast<int>(pixels), colours.get());
    const lutra_status status = lutra_restore(model, colours.get(), count * tile.width, tile.width, tile.height, count,
                                              restored.get(), count * width, 1);
    for (int row = 0; status == LUTRA_OK && row < tile.rows * scale; ++row) {
        const std::size_t first = std::size_t(row + tile.top * scale) * width + tile.left * scale;
        lutra::give_colours(restored.get() + count * first, count, tile.columns * scale, out);
        out += std::ptrdiff_t{4} * tile.columns * scale;
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
    return lutra::guarded(LUTRA_BAD_ARGUMENT, [&] {
        const bool by_luma = lutra_trained_planes(model) == LUTRA_LUMA && lutra_scale(model) == 1;
        return (by_luma ? restore_luma : restore_colours)(model, tile, out);
    });
}

// The same by a model of any size, as lutra_restore_to does it for a whole image.
extern "C" LUTRA_API int lutra_web_restore_to(const lutra_model* model, const std::uint8_t* pixels,
                                              const SizedTile* tile, double scale, std::uint8_t* out) {
    return lutra::guarded(LUTRA_BAD_ARGUMENT, [&] {
        const int count = tile->gray ? 1 : 3, columns = tile->result_columns, rows = tile->result_rows;
        const Bytes colours(new std::uint8_t[std::size_t(count) * tile->width * tile->height]);
        const Bytes restored(new std::uint8_t[std::size_t(count) * columns * rows]);
        lutra::take_colours(pixels, count, tile->width * tile->height, colours.get());
        const lutra::Image from{colours.get(), tile->height, tile->width, count, std::ptrdiff_t{count} * tile->width};
        const lutra::Image to{restored.get(), rows, columns, count, std::ptrdiff_t{count} * columns};
        const lutra::AnySize& any_size = *model->any_size;
        const lutra::Sizes sizes{any_size.asked(tile->whole_height, tile->result_height, scale),
                                 any_size.asked(tile->whole_width, tile->result_width, scale)};
        const lutra::Rectangle wanted{tile->result_top, tile->result_top + rows, tile->result_left,
                                      tile->result_left + columns};
        any_size.restore(model->engine, {from, tile->top, tile->left}, sizes, wanted, to, 1);
        lutra::give_colours(restored.get(), count, columns * rows, out);
        return LUTRA_OK;
    });
}

// Resamples one channel, as Python's lutra.restore.sizes.resized does.
extern "C" LUTRA_API int lutra_web_resize(std::uint8_t* plane, int width, int height, int to_width, int to_height,
                                          std::uint8_t* out) {
    return lutra::guarded(LUTRA_BAD_ARGUMENT, [&] {
        const Bytes narrow(new std::uint8_t[std::size_t(to_width) * height]);
        const lutra::Image from{plane, height, width, 1, width}, between{narrow.get(), height, to_width, 1, to_width};
        lutra::Bicubic(width, to_width, {0, to_width}).columns(from, between, 1);
        lutra::Bicubic(height, to_height, {0, to_height}).rows(between, {out, to_height, to_width, 1, to_width}, 1);
        return LUTRA_OK;
    });
}

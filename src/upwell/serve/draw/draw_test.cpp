#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <cstdlib>

#include "serve/draw/color_map.hpp"
#include "serve/draw/geography.hpp"
#include "serve/draw/plot.hpp"
#include "serve/draw/text.hpp"

namespace upwell::serve::draw {
namespace {

/// Decoded by libpng, the judge of what a PNG is.
Image decode(const Bytes& png) {
  png_image reader{};
  reader.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&reader, png.data(), png.size()), 0);
  reader.format = PNG_FORMAT_RGB;
  Image image(reader.width, reader.height, {});
  EXPECT_NE(png_image_finish_read(&reader, nullptr, image.rgb.data(), 0, nullptr), 0);
  return image;
}

TEST(Draw, PngIsWhatLibpngReads) {
  Image image(37, 21, {10, 20, 30});
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 11);
  const auto png = encode_png(image);
  ASSERT_TRUE(png);
  const Image back = decode(*png);
  EXPECT_EQ(back.width, 37U);
  EXPECT_EQ(back.rgb, image.rgb);
}

TEST(Draw, ColorsGrowLighter) {
  const auto light = [](Color c) { return 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b; };
  for (size_t i = 8; i < 256; i += 8) {
    EXPECT_GT(light(sequential_map()[i]), light(sequential_map()[i - 8])) << i;
  }
  EXPECT_EQ(color_of(sequential_map(), -5), sequential_map()[0]);
  EXPECT_EQ(color_of(sequential_map(), 7), sequential_map()[255]);
  EXPECT_GT(diverging_map()[0].b, diverging_map()[0].r);
  EXPECT_GT(diverging_map()[255].r, diverging_map()[255].b);
}

TEST(Draw, TextHasWidthAndIsCut) {
  EXPECT_EQ(text_width("", 10), 0);
  EXPECT_GT(text_width("WW", 10), text_width("ii", 10));
  EXPECT_EQ(fit_text("short", 10, 1000), "short");
  const std::string cut = fit_text("a text that is too long for this", 10, 80);
  EXPECT_TRUE(cut.ends_with("…"));
  EXPECT_LE(text_width(cut, 10), 80);
  // Broken UTF-8 draws boxes rather than reading on.
  Image image(50, 20, {255, 255, 255});
  text(image, {2, 15}, "\xff\xc3", 10, {0, 0, 0});
  text(image, {-500, 1e7}, "far away", 10, {0, 0, 0});
}

TEST(Draw, Ticks) {
  const auto ticks = round_ticks(-90, 90, 5, AxisKind::kLatitude);
  EXPECT_EQ(ticks, (std::vector<double>{-90, -45, 0, 45, 90}));
  EXPECT_EQ(degrees_text(-45, AxisKind::kLatitude), "45°S");
  EXPECT_EQ(degrees_text(270, AxisKind::kLongitude), "90°W");
  EXPECT_EQ(degrees_text(180, AxisKind::kLongitude), "180°");
  EXPECT_EQ(degrees_text(360, AxisKind::kLongitude), "0°");
  EXPECT_EQ(number_text(0.25, 0.25), "0.25");
  EXPECT_EQ(number_text(20, 10), "20");
  EXPECT_EQ(number_text(-0.5, 0.5), "-0.5");
  EXPECT_TRUE(round_ticks(NAN, 1, 5, AxisKind::kPlain).empty());
  EXPECT_EQ(round_ticks(3, 3, 5, AxisKind::kPlain).size(), 1U);
}

FieldPlot small_field() {
  FieldPlot plot;
  plot.title = "Field";
  plot.nx = 4;
  plot.ny = 3;
  plot.panels.emplace_back();
  for (size_t i = 0; i < 12; ++i) plot.panels[0].values.push_back(static_cast<float>(i));
  return plot;
}

TEST(Draw, FieldShowsItsCells) {
  FieldPlot plot = small_field();
  plot.panels[0].values[0] = NAN;
  const Image image = draw_field(plot);
  const size_t x0 = 92 + 40;
  // Row 0 lies at the bottom; the first cell is missing and grey, the last one lightest.
  size_t bottom = image.height - 66 - 20;
  EXPECT_EQ(image.at(x0, bottom), (Color{205, 208, 212}));
  EXPECT_EQ(image.at(image.width - 138 - 40, 78 + 20), sequential_map()[255]);
}

TEST(Draw, LatitudeGoesUpWhicheverWayItIsStored) {
  FieldPlot plot = small_field();
  plot.y.kind = AxisKind::kLatitude;
  plot.x.kind = AxisKind::kLongitude;
  plot.x.centers = {0, 10, 20, 30};
  plot.y.centers = {20, 10, 0};  // row 0 is north
  const Image image = draw_field(plot);
  EXPECT_EQ(image.at(92 + 8, 78 + 8), sequential_map()[0]);
}

TEST(Draw, NothingToShowIsNoCrash) {
  FieldPlot plot = small_field();
  for (float& v : plot.panels[0].values) v = NAN;
  EXPECT_GT(draw_field(plot).width, 0U);
  for (float& v : plot.panels[0].values) v = 5;
  EXPECT_GT(draw_field(plot).width, 0U);
  for (float& v : plot.panels[0].values) v = INFINITY;
  EXPECT_GT(draw_field(plot).width, 0U);
  SeriesPlot series;
  series.values = {NAN, NAN};
  EXPECT_GT(draw_series(series).width, 0U);
  series.values = {1e300, -1e300};
  EXPECT_GT(draw_series(series).width, 0U);
}

/// Grid lines lie over the cells: nearly the same colour will do.
int distance(Color a, Color b) {
  return std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b);
}

TEST(Draw, CurvilinearCellsLieWhereTheyAre) {
  FieldPlot plot;
  plot.nx = 40;
  plot.ny = 20;
  plot.panels.emplace_back();
  for (size_t j = 0; j < 20; ++j) {
    for (size_t i = 0; i < 40; ++i) {
      plot.latitude.push_back(static_cast<float>(j) * 4);
      plot.longitude.push_back(std::remainder(static_cast<float>(i) * 9 + 170, 360.F));
      plot.panels[0].values.push_back(j < 10 ? 0 : 1);
    }
  }
  const Image image = draw_field(plot);
  EXPECT_LT(distance(image.at(image.width / 2 - 30, 78 + 12), sequential_map()[255]), 120);
  EXPECT_LT(distance(image.at(image.width / 2 - 30, image.height - 66 - 12), sequential_map()[0]),
            120);
  plot.latitude[3] = 1e30F;  // not degrees: falls back to rows and columns
  EXPECT_GT(draw_field(plot).width, 0U);
}

size_t dark_pixels(const Image& image) {
  size_t count = 0;
  for (size_t i = 0; i < image.rgb.size(); i += 3)
    if (image.rgb[i] < 120 && image.rgb[i + 1] < 120 && image.rgb[i + 2] < 120) ++count;
  return count;
}

TEST(Draw, CoastlinesAreWhereThereIsCoast) {
  constexpr Color kPaper{255, 255, 255};
  const auto drawn = [&](const GeoBox& box) {
    Canvas canvas(400, 300, 1, kPaper);
    draw_coastlines(canvas, {0, 0, 400, 300}, box);
    return dark_pixels(canvas.image());
  };
  EXPECT_EQ(drawn({-140, -120, -50, -40}), 0U);  // the open Pacific
  EXPECT_EQ(drawn({20, 25, 18, 22}), 0U);        // the Sahara
  const size_t europe = drawn({-10, 30, 35, 60});
  EXPECT_GT(europe, 2000U);
  EXPECT_EQ(drawn({350, 390, 35, 60}), europe);  // counted from 0 to 360
  EXPECT_GT(drawn({-88, -84, 41.5, 46}), 300U);  // Lake Michigan
  // Along the antimeridian and the pole there is none.
  EXPECT_EQ(drawn({178, 182, -87, -85.5}), 0U);
}

TEST(Draw, PanelsShareTheirColours) {
  FieldPlot plot = small_field();
  plot.panels[0].title = "one";
  plot.panels.push_back({"two", std::vector<float>(12, 11)});
  plot.panels.push_back({"three", std::vector<float>(12, 0)});
  plot.style.range = {0, 11};
  plot.style.colors = &gray_map();
  const Image image = draw_field(plot);
  size_t lightest = 0, darkest = 0;
  for (size_t y = 0; y < image.height; ++y) {
    for (size_t x = 0; x < image.width; ++x) {
      if (image.at(x, y) == gray_map()[255]) ++lightest;
      if (image.at(x, y) == gray_map()[0]) ++darkest;
    }
  }
  // A whole panel each, and a cell of twelve.
  EXPECT_GT(lightest, 10000U);
  EXPECT_LT(std::abs(static_cast<double>(lightest) / static_cast<double>(darkest) - 1), 0.1);
}

TEST(Draw, SizeAndScaleAreKept) {
  FieldPlot plot = small_field();
  plot.style.height = 500;
  plot.style.scale = 2;
  const Image image = draw_field(plot);
  EXPECT_EQ(image.width, 1800U);
  EXPECT_EQ(image.height, 1000U);
}

TEST(Draw, ColorMapsHaveNames) {
  EXPECT_EQ(color_map_of("heat"), heat_map());
  EXPECT_EQ((*color_map_of("gray-reversed"))[0], gray_map()[255]);
  EXPECT_FALSE(color_map_of("jet"));
}

}  // namespace
}  // namespace upwell::serve::draw
